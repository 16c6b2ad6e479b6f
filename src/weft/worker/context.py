"""What a step can ask about itself: ``current()`` and ``progress``.

State of this module: ``_active``, the attempt that this process runs now, and what belongs to it. Plain
globals and no context variables, so that threads which a step starts see them too; a worker runs one
attempt at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from weft.digest import digest_parts
from weft.seams import deferred

if TYPE_CHECKING:
    import shutil
else:
    shutil = deferred("shutil")

_PROGRESS_INTERVAL_S = 0.1


class Current(msgspec.Struct, frozen=True, gc=False):
    """The attempt that runs now.

    Attributes:
        run: the run's id; "" in a plain call.
        task: the task's path, such as ``train[3]``; "" in a plain call.
        attempt: 1 for the first.
        key: the idempotency key, the same over all attempts of the task; "" in a plain call.
        work_folder: where Weft keeps work folders for the whole run; None in a plain call.
    """

    run: str
    task: str
    attempt: int
    key: str
    work_folder: str | None = None

    def __repr__(self) -> str:
        if not self.run:
            return "<a plain call, in no run>"
        return f"<attempt {self.attempt} of {self.task} in run {self.run}>"

    @property
    def work_dir(self) -> Path:
        """An empty folder of this attempt, made at first use and removed when the attempt ends.

        In a plain call it is a fresh temporary folder each time, which is the caller's to remove.
        """
        global _work_made
        if self.work_folder is None:
            return _fresh_folder()
        path = Path(self.work_folder) / self.run / _file_name(f"{self.key}/{self.attempt}")
        path.mkdir(parents=True, exist_ok=True)
        _work_made = path
        return path


_PLAIN = Current("", "", 1, "")
_active: Current = _PLAIN
_emit: Callable[[str], None] | None = None
_next_progress_s = 0.0
_work_made: Path | None = None


def _fresh_folder() -> Path:
    # By hand, because the standard library's tempfile alone would cost each worker 10 ms of start.
    while True:
        path = Path(os.environ.get("TMPDIR", "/tmp")) / f"weft-{os.urandom(8).hex()}"
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return path


def _file_name(text: str) -> str:
    return digest_parts("folder", [text]).rpartition(":")[2][:32]


def current() -> Current:
    """Return the attempt that runs now, or in a plain call a stand-in whose ``run`` is empty."""
    return _active


def activate(now: Current, emit: Callable[[str], None] | None) -> None:
    """Make ``now`` the attempt that ``current()`` returns. For workers only.

    Args:
        emit: takes a progress record as JSON text.
    """
    global _active, _emit, _next_progress_s
    _active, _emit, _next_progress_s = now, emit, 0.0


def deactivate() -> None:
    """Forget the attempt and remove its work folder. For workers only."""
    global _active, _emit, _work_made
    _active, _emit = _PLAIN, None
    if _work_made is not None:
        shutil.rmtree(_work_made, ignore_errors=True)
        _work_made = None


def progress(done: float, total: float | None = None, text: str = "") -> None:
    """Show how far the step is; does nothing in a plain call.

    At most ten records a second are kept, but the last one (``done`` equal to ``total``) always is.
    """
    global _next_progress_s
    if _emit is None:
        return
    now_s = time.monotonic()
    if now_s >= _next_progress_s or done == total:
        _next_progress_s = now_s + _PROGRESS_INTERVAL_S
        _emit(msgspec.json.encode({"done": done, "total": total, "text": text}).decode() + "\n")

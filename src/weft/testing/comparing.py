"""What the second attempt of a task met of the first one's: two footprints compared."""

from __future__ import annotations

import os
from typing import Final, Literal

import msgspec

from weft.testing.watching import FOLDER, FileState, Footprint, Touch, digest_of

Kind = Literal["appended", "changed", "left", "failed", "rewritten", "same"]

# What is no fault of a step: only its last attempt is to be seen in the end.
HARMLESS: Final = frozenset({"rewritten", "same"})

HINTS: Final[dict[str, str]] = {
    "appended": "Write the file whole, to a temporary name beside it, and os.replace it; or skip what "
    "current().key says is in it already.",
    "changed": "Keep current().key, which is the same for every attempt, beside what you add, and add nothing where "
    "it is there already.",
    "left": "Name the file by current().key, which is the same for every attempt; or write it in "
    "current().work_dir and return its content.",
    "failed": "Let the second attempt find what the first has left: exist_ok=True, os.replace, or a check by "
    "current().key.",
    "rewritten": "Write to a temporary name beside it and os.replace it, so that nobody reads a half of it.",
    "same": "Write to a temporary name beside it and os.replace it, so that nobody reads a half of it.",
}


class Finding(msgspec.Struct, frozen=True):
    """One thing that the second attempt of a step met.

    Attributes:
        step: the step's path in the workflow, without the numbers of iterations. ``task``: where it was seen.
        kind: ``appended``, ``changed``, ``left`` behind, ``failed``; or harmless: ``rewritten``, the ``same``.
        path: the file; empty where the attempt failed and no file is known.
        where: ``file:line`` of the code, where that is known.
        detail: what was seen, in words.
    """

    step: str
    task: str
    kind: Kind
    path: str
    where: str
    detail: str

    @property
    def is_harmless(self) -> bool:
        """Whether only the last attempt is to be seen in the end."""
        return self.kind in HARMLESS

    @property
    def hint(self) -> str:
        """What to write instead."""
        return HINTS[self.kind]


def compare(step: str, task: str, first: Footprint, second: Footprint) -> list[Finding]:
    """Return what the second attempt met. To be called when it has just ended: it reads files."""
    if second.failure and not first.failure:
        return [_failed(step, task, first, second)]
    found = []
    is_elsewhere = any(_is_made(touch) for path, touch in second.touches.items() if path not in first.touches)
    for path, one in first.touches.items():
        two = second.touches.get(path)
        if two is not None and one.after is not None and two.after is not None and two.after.digest != FOLDER:
            kind, detail = _met(path, one.after, two, two.after, was_read=path in second.read)
            if not (kind in HARMLESS and two.is_atomic):
                found.append(Finding(step, task, kind, path, two.where or one.where, detail))
        elif two is None and is_elsewhere and _is_made(one) and os.path.exists(path):
            detail = "the first attempt made it, and the second made another one"
            found.append(Finding(step, task, "left", path, one.where, detail))
    return found


def _is_made(touch: Touch) -> bool:
    return touch.before is None and touch.after is not None and touch.after.digest != FOLDER


def _met(path: str, first: FileState, two: Touch, second: FileState, *, was_read: bool) -> tuple[Kind, str]:
    if first.digest and first.digest == second.digest:
        return "same", "both attempts wrote the same bytes"
    grew = f"{first.size_bytes:,} bytes after the first attempt, {second.size_bytes:,} after the second"
    is_longer = second.size_bytes > first.size_bytes and first.digest == digest_of(path, first.size_bytes)
    if is_longer and not two.is_whole:
        return "appended", grew
    if two.is_whole and was_read:
        return "changed", f"the second attempt read what the first had written, and wrote other bytes: {grew}"
    if two.is_whole:
        return "rewritten", f"the second attempt wrote other bytes in place of the first one's: {grew}"
    return "changed", f"the second attempt changed what the first had written: {grew}"


def _failed(step: str, task: str, first: Footprint, second: Footprint) -> Finding:
    named = [path for path in first.touches if os.path.basename(path) in second.failure]
    gone = [path for path, touch in first.touches.items() if touch.before is not None and touch.after is None]
    path = next(iter([*named, *gone]), "")
    where = first.touches[path].where if path else ""
    return Finding(step, task, "failed", path, where, f"the second attempt failed: {second.failure}")

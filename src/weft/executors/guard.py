"""A file that the processes of one driver hold locked while any of them lives, so that others can wait for the last.

A driver that is killed leaves its workers behind for the moment that their nursery needs to end them. What it held
for them, such as the slots of a limit, must not be anybody's before.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def hold(path: str) -> int:
    """Lock a guard for as long as this process, or one forked from it, lives; return the descriptor."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def is_held(path: str) -> bool:
    """Return whether a process that holds this guard is alive; a guard that nobody holds is removed."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        Path(path).unlink(missing_ok=True)
        return False
    finally:
        os.close(file)

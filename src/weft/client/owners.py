"""Who drives a run: this process, and whether another one is still alive."""

from __future__ import annotations

import os
import socket
from functools import cache

from weft.model.records import Owner


@cache
def boot_id() -> str:
    """Return what tells this start of the machine from others; empty where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def process_started(pid: int) -> int:
    """Return when a process started, in the system's own unit, or 0 if there is none or it is a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        return 0 if os.path.exists("/proc/self/stat") else _started_elsewhere(pid)
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def _started_elsewhere(pid: int) -> int:
    # Only systems without /proc pay for this library.
    import psutil

    try:
        return int(psutil.Process(pid).create_time() * 1000)
    except psutil.Error:
        return 0


def this_owner() -> Owner:
    """Return this process as the owner of a run."""
    pid = os.getpid()
    return Owner(socket.gethostname(), pid, boot_id(), process_started(pid))


def is_dead(owner: Owner | None) -> bool:
    """Return whether an owner is surely dead: none, or a process of this machine that is gone."""
    if owner is None:
        return True
    if owner.host != socket.gethostname():
        return False
    if owner.boot != boot_id():
        return True
    return process_started(owner.pid) != owner.started_ms

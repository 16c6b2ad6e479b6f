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


@cache
def process_namespace() -> str:
    """Return what tells whose process ids these are: those of a container mean nothing outside it."""
    try:
        return os.readlink("/proc/self/ns/pid")
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
    return Owner(socket.gethostname(), pid, f"{boot_id()} {process_namespace()}", process_started(pid))


def is_dead(owner: Owner | None) -> bool:
    """Return whether an owner is surely dead: none, or a process of this machine that is gone.

    One in another container may be seen by nobody here; its lease says when it is given up.
    """
    if owner is None:
        return True
    if owner.host != socket.gethostname():
        return False
    boot, _, namespace = owner.boot.partition(" ")
    if boot != boot_id():
        return True
    if namespace not in ("", process_namespace()):
        return False
    return process_started(owner.pid) != owner.started_ms

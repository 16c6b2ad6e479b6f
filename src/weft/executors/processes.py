"""The tree of processes under a worker: who is in it, what it uses, how all of it is ended.

On Linux a worker is made a *subreaper*: a child that detaches itself (double fork, own session) stays its
descendant and is found. Elsewhere such a child is found only while its parents live.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from weft.seams import deferred

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = deferred("ctypes")
if sys.platform != "linux":
    import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_END_WAIT_S = 2.0


def adopt_orphans() -> None:
    """Make this process the parent of orphans among its descendants."""
    _control(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)


def prefer_for_oom_kill() -> None:
    """Let the kernel, short of memory, choose a worker and its children before the driver."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")


if sys.platform == "linux":

    def _control(option: int, value: int) -> None:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)

    def children(pid: int) -> list[int]:
        """Return the processes whose parent is ``pid``."""
        found: list[int] = []
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return found
        for thread in threads:
            try:
                with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                    found += map(int, file.read().split())
            except FileNotFoundError:
                if not _HAS_CHILDREN_FILES:
                    return _children_by_scan(pid)
            except OSError:
                continue
        return found

    _HAS_CHILDREN_FILES = os.path.exists(f"/proc/self/task/{os.getpid()}/children")

    def _children_by_scan(parent: int) -> list[int]:
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                    if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                        found.append(int(name))
        return found

    def kill_session(leader: int) -> None:
        """Kill what is left of a worker's session after its guardian has died."""
        for name in os.listdir("/proc"):
            if name.isdigit():
                with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                    if int(file.read().rpartition(b")")[2].split()[3]) == leader > 0:
                        kill_tree(int(name))

    def memory_of(pids: list[int], limit: int) -> int:
        """Return the memory that these processes use together, exactly only if it may be above ``limit``.

        Resident memory first, which counts shared pages several times; if that is too much, the
        proportional set size without pages of files, since those can be dropped at any time.
        """
        total = sum(map(_resident, pids))
        return total if total <= limit else sum(map(_proportional, pids))

    def _resident(pid: int) -> int:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    _PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

    def _proportional(pid: int) -> int:
        parts = {b"Pss_Anon:", b"Pss_Shmem:", b"SwapPss:"}
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                return sum(int(line.split()[1]) * 1024 for line in file if line.split()[0] in parts)
        except (OSError, IndexError):
            return _resident(pid)

    def kernel_oom_kills() -> int:
        """Return how many processes the kernel has killed for memory, on the whole machine."""
        try:
            with open("/proc/vmstat", "rb") as file:
                return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
        except OSError:
            return 0

else:

    def _control(option: int, value: int) -> None:
        return None

    def children(pid: int) -> list[int]:
        """Return the processes whose parent is ``pid``."""
        try:
            return [child.pid for child in psutil.Process(pid).children()]
        except psutil.Error:
            return []

    def kill_session(leader: int) -> None:
        """Kill what is left of a worker's process group after its guardian has died."""
        if leader > 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)

    def memory_of(pids: list[int], limit: int) -> int:
        """Return the resident memory of these processes together."""
        total = 0
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                total += psutil.Process(pid).memory_info().rss
        return total

    def kernel_oom_kills() -> int:
        """Return 0: this system does not tell."""
        return 0


def tree(root: int) -> list[int]:
    """Return ``root`` and all its descendants, parents before children."""
    found = [root]
    for pid in found:
        found += children(pid)
    return found


def kill_tree(root: int) -> None:
    """Kill ``root`` and all its descendants; none can fork away meanwhile.

    All are stopped first, until a look finds no new one; then all are killed, ``root`` last, so that
    orphans are its own until the end.
    """
    stopped: list[int] = []
    while fresh := [pid for pid in tree(root) if pid not in stopped]:
        for pid in fresh:
            _signal(pid, signal.SIGSTOP)
        stopped += fresh
    for pid in reversed(stopped):
        _signal(pid, signal.SIGKILL)
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(root, signal.SIGKILL)


def await_end(child: int) -> bool:
    """Wait until a killed child of this process is gone, and reap it. Returns False after two seconds."""
    try:
        if hasattr(os, "pidfd_open"):
            handle = os.pidfd_open(child)
            try:
                if not select.select([handle], [], [], _END_WAIT_S)[0]:
                    return False
            finally:
                os.close(handle)
        os.waitpid(child, 0)
    except (ChildProcessError, ProcessLookupError):
        return True  # reaped already
    return True


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)

"""Starts nursery processes; light to import, so that a command can start one before anything else.

Loading an interpreter with what workers need takes as long as the command itself takes to load. So ``prelaunch``
lets the two happen side by side, and a process with many runs keeps one loaded interpreter, the *mother*,
that has seen no project and forks a nursery for each run.

State, all of it worthless to a forked copy of this process: the mother, and the one spare nursery that nobody
has taken yet. Both end when this process does, because their control sockets close.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys

CONTROL = 3
PACKAGE_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PINNED_SEED = "0"
FORK_FRAME = b"\x06\0\0\0\x91\xa4fork"  # orders.Fork, by hand: msgspec is not light
_BOOT = "import sys; sys.path.append(sys.argv[1]); from weft.executors.nursery import main; main()"
_SEED = "PYTHONHASHSEED"


class _Kept:
    """A nursery process that waits: its id, our end of its control socket, and whose it is."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        # A bare descriptor: it is to stay open until this process ends, without a warning then.
        self.control = control.detach()
        self._owner = os.getpid()

    def is_ours(self) -> bool:
        return self._owner == os.getpid()

    def release(self) -> socket.socket:
        return socket.socket(fileno=self.control)


_spare: _Kept | None = None
_mother: _Kept | None = None


def prelaunch() -> None:
    """Start the nursery of this process's first run."""
    if not has_spare():
        offer(*launch((), {**os.environ, _SEED: PINNED_SEED}))


def offer(pid: int, control: socket.socket) -> None:
    """Keep a nursery with the pinned hash seed as the spare one."""
    global _spare
    _spare = _Kept(pid, control)


def has_spare() -> bool:
    """Return whether a nursery waits to be taken."""
    return _spare is not None and _spare.is_ours()


def take(flags: tuple[str, ...], environment: dict[str, str]) -> tuple[int, socket.socket]:
    """Return a nursery for one run: its process id, 0 if it is no child of ours, and its control socket."""
    global _spare
    if flags or environment.get(_SEED) != PINNED_SEED:
        return launch(flags, environment)
    if _spare is not None and _spare.is_ours():
        spare, _spare = _spare, None
        return spare.pid, spare.release()
    return _born_of_mother(environment)


def _born_of_mother(environment: dict[str, str]) -> tuple[int, socket.socket]:
    global _mother
    if _mother is None or not _mother.is_ours():
        _mother = _Kept(*launch((), environment))
    ours, theirs = socket.socketpair()
    control = _mother.release()
    try:
        socket.send_fds(control, [FORK_FRAME], [theirs.fileno()])
    except (BrokenPipeError, ConnectionResetError):
        ours.close()
        _end_mother()  # it was killed; the next one is started for the next run
        return launch((), environment)
    finally:
        control.detach()
        theirs.close()
    return 0, ours


def _end_mother() -> None:
    global _mother
    if _mother is not None and _mother.is_ours():
        os.close(_mother.control)
        os.waitpid(_mother.pid, 0)
    _mother = None


def launch(flags: tuple[str, ...], environment: dict[str, str]) -> tuple[int, socket.socket]:
    """Start a nursery process with these interpreter options and variables."""
    ours, theirs = socket.socketpair()
    # Well above CONTROL, so that the copy to it is a copy and not the same descriptor.
    descriptor = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 16)
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-u", *flags, "-c", _BOOT, PACKAGE_HOME],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, descriptor, CONTROL),
        ],
        # Its own process group: Ctrl-C at the terminal is for the driver alone.
        setpgroup=0,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE],
    )
    os.close(descriptor)
    theirs.close()
    return pid, ours

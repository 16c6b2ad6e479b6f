"""The nursery: a small single-threaded process that imports the project once and forks workers from it.

It is its own interpreter, so that the hash seed is pinned, the driver may have threads and open databases,
and nothing of the driver's leaks into steps. It is also the workers' guardian: it reaps and kills
them, with all that they started, watches their memory, and writes their logs. When the driver dies, its
control socket closes, and the nursery ends everything.

State: the wards (one for each live worker), the guard that they share and, once told to close, the deadline.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import io
import os
import selectors
import signal
import socket
import sys
import time
import traceback

import msgspec

from weft.executors import guard
from weft.executors.forkable import ImportWatch, thread_count
from weft.executors.launch import CONTROL, PACKAGE_HOME, has_spare, offer
from weft.executors.orders import (
    Born,
    Close,
    Exited,
    Fork,
    Kill,
    Order,
    Ready,
    Setup,
    Spawn,
    Stop,
    Unforkable,
    Watch,
    Word,
)
from weft.executors.processes import (
    adopt_orphans,
    await_end,
    children,
    die_with_parent,
    kernel_oom_kills,
    kill_tree,
    memory_of,
    prefer_for_oom_kill,
    tree,
)
from weft.executors.pump import Pipes, Pump, open_pipes
from weft.model.context import EVALUATOR, RunContext
from weft.worker import process
from weft.worker.wire import Channel, frame

_MEMORY_INTERVAL_S = 0.025
_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); from weft.worker.process import start_fresh; start_fresh()"
)


class Ward(msgspec.Struct):
    """One live worker, as its nursery sees it."""

    number: int
    pid: int
    pump: Pump
    memory_limit: int | None = None
    peak_bytes: int = 0
    over_limit: bool = False


class Nursery:
    """The nursery program."""

    def __init__(self, control: socket.socket) -> None:
        self._control = Channel(control)
        self._selector = selectors.DefaultSelector()
        self._wards: dict[int, Ward] = {}
        self._links: list[int] = []
        self._decode = msgspec.msgpack.Decoder(Order).decode
        self._context = RunContext(run="", log_folder="", work_folder="", checkpoint_folder="")
        self._fresh = False
        self._guard: int | None = None
        self._closing_at: float | None = None
        self._oom_kills = kernel_oom_kills()

    def run(self) -> None:
        """Serve the driver until it says so, or is gone."""
        adopt_orphans()
        wakeup_read, wakeup_write = socket.socketpair()
        wakeup_read.setblocking(False)
        wakeup_write.setblocking(False)
        signal.set_wakeup_fd(wakeup_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._selector.register(self._control.sock, selectors.EVENT_READ, self._hear)
        self._selector.register(wakeup_read, selectors.EVENT_READ, lambda: wakeup_read.recv(4096))
        self._wakeup = (wakeup_read, wakeup_write)
        while not self._is_over():
            for key, _ in self._selector.select(self._patience()):
                key.data()
            self._bury_dead()
            self._weigh()
        self._end()

    def _is_over(self) -> bool:
        if self._closing_at is None:
            return False
        if not self._wards:
            return True
        if time.monotonic() >= self._closing_at:
            for ward in self._wards.values():
                kill_tree(ward.pid)
            self._closing_at = float("inf")
        return False

    def _patience(self) -> float | None:
        if any(ward.memory_limit for ward in self._wards.values()):
            return _MEMORY_INTERVAL_S
        if self._closing_at is None or self._closing_at == float("inf"):
            return None
        return max(0.0, self._closing_at - time.monotonic())

    def _end(self) -> None:
        self._control.sock.setblocking(True)
        self._control.flush()
        os._exit(0)

    def _say(self, word: Word) -> None:
        self._control.send(frame(word))
        if self._control.backlog:
            self._control.sock.setblocking(True)
            self._control.flush()
            self._control.sock.setblocking(False)

    # What the driver orders.

    def _hear(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control.sock, 1 << 16, 16)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, descriptors = b"", []
        if not data:
            self._lose_driver()
        self._links += descriptors
        for payload in self._control.cut(data):
            self._obey(self._decode(payload))

    def _lose_driver(self) -> None:
        for ward in self._wards.values():
            kill_tree(ward.pid)
        for pid in children(os.getpid()):
            kill_tree(pid)
        for pid in children(os.getpid()):
            await_end(pid)
        for ward in self._wards.values():
            ward.pump.finish(self._selector)
        os._exit(1)

    def _obey(self, order: Order) -> None:
        if isinstance(order, Spawn):
            self._spawn(order.worker, socket.socket(fileno=self._links.pop(0)))
        elif isinstance(order, Setup):
            self._set_up(order)
        elif isinstance(order, Fork):
            self._fork_nursery(socket.socket(fileno=self._links.pop(0)))
        elif isinstance(order, Close):
            self._closing_at = time.monotonic() + order.grace_ms / 1000
        elif (ward := self._wards.get(order.worker)) is not None:
            self._treat(ward, order)

    def _treat(self, ward: Ward, order: Watch | Stop | Kill) -> None:
        if isinstance(order, Watch):
            ward.memory_limit = order.memory_bytes
            ward.peak_bytes = 0
        elif isinstance(order, Stop):
            os.kill(ward.pid, signal.SIGTERM)
        else:
            kill_tree(ward.pid)

    def _set_up(self, setup: Setup) -> None:
        self._context, self._fresh = setup.context, setup.fresh
        os.environ.clear()
        os.environ.update(setup.environment)
        log = os.open(setup.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        if setup.context.guard:
            self._guard = guard.hold(setup.context.guard)
        process.enter_project(setup.context)
        if not setup.fresh:
            with ImportWatch() as watch:
                self._preload(watch)
            if watch.what:
                self._say(Unforkable(watch.module, watch.what))
                self._closing_at = 0.0
                return
            gc.collect()
            gc.freeze()
        self._say(Ready())

    def _preload(self, watch: ImportWatch) -> None:
        context = self._context
        try:
            evaluator = process.load_evaluator(context)
        except Exception:  # noqa: BLE001 - the first job meets it again and reports it
            return
        for name in context.preload:
            try:
                importlib.import_module(name)
            except BaseException:  # noqa: BLE001 - so is the user's own import error, by its task
                continue
            watch.check(name)
        hook = getattr(evaluator, "preload", None)
        if hook is not None:
            try:
                hook(context)
            except BaseException:  # noqa: BLE001 - as above
                return
            watch.check(context.main_file or context.evaluator)

    def _fork_nursery(self, control: socket.socket) -> None:
        if os.fork() == 0:
            try:
                self._forget_nursery()
                os.setpgid(0, 0)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                Nursery(control).run()
            finally:
                os._exit(70)
        control.close()

    # Workers.

    def _spawn(self, number: int, link: socket.socket) -> None:
        pipes = open_pipes()
        pid = os.fork()
        if pid == 0:
            self._become_worker(link, pipes)
        link.close()
        pipes.close_worker_ends()
        ward = Ward(number, pid, Pump(self._context, pipes))
        ward.pump.register(self._selector)
        self._wards[number] = ward
        self._say(Born(number, pid))

    def _become_worker(self, link: socket.socket, pipes: Pipes) -> None:
        """Turn this forked process into a worker; never returns."""
        try:
            self._forget_nursery()
            os.setsid()
            adopt_orphans()
            die_with_parent()
            prefer_for_oom_kill()
            records, cell, out_read, err_read, out_write, err_write = pipes.descriptors_of_worker()
            os.dup2(out_write, 1)
            os.dup2(err_write, 2)
            if self._fresh:
                self._start_interpreter([link.fileno(), records, cell, out_read, err_read])
            os.close(out_write)
            os.close(err_write)
            process.work(link, self._context, pipes.records_worker, cell, (out_read, err_read))
        except BaseException:  # noqa: BLE001 - a forked child must never return into the nursery's loop
            os.write(2, traceback.format_exc().encode())
        os._exit(70)

    def _forget_nursery(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._selector.close()
        self._control.close()
        for ward in self._wards.values():
            ward.pump.abandon()
        for end in self._wakeup:
            end.close()
        # What preloaded modules registered is for the nursery's end, not for that of each worker.
        atexit._clear()

    def _start_interpreter(self, descriptors: list[int]) -> None:
        kept = descriptors if self._guard is None else [*descriptors, self._guard]
        for descriptor in kept:
            os.set_inheritable(descriptor, True)
        command = [sys.executable, "-u", *self._context.python_flags, "-c", _BOOT, PACKAGE_HOME]
        os.execve(sys.executable, [*command, *map(str, descriptors)], dict(os.environ))

    def _bury_dead(self) -> None:
        by_pid = {ward.pid: ward for ward in self._wards.values()}
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (ward := by_pid.get(pid)) is not None:
                unit = 1 if sys.platform == "darwin" else 1024
                self._bury(ward, status, usage.ru_maxrss * unit)

    def _bury(self, ward: Ward, status: int, peak_bytes: int) -> None:
        del self._wards[ward.number]
        alive = {other.pid for other in self._wards.values()}
        while orphans := [pid for pid in children(os.getpid()) if pid not in alive]:
            for orphan in orphans:
                kill_tree(orphan)
            if not all(await_end(orphan) for orphan in orphans):
                break  # stuck in the kernel; it is dead as far as anybody can make it
        ward.pump.finish(self._selector)
        kills, before = kernel_oom_kills(), self._oom_kills
        self._oom_kills = kills
        peak = max(ward.peak_bytes, 0 if ward.memory_limit else peak_bytes)
        self._say(Exited(ward.number, status, peak, ward.over_limit, kills > before))

    def _weigh(self) -> None:
        for ward in self._wards.values():
            if ward.memory_limit and not ward.over_limit:
                used = memory_of(tree(ward.pid), ward.memory_limit)
                ward.peak_bytes = max(ward.peak_bytes, used)
                if used > ward.memory_limit:
                    ward.over_limit = True
                    kill_tree(ward.pid)


def main() -> None:
    """Be a nursery on descriptor 3."""
    os.set_inheritable(CONTROL, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ImportError):  # without a project yet, so that all forks have it
        importlib.import_module(EVALUATOR.partition(":")[0])
    gc.collect()
    gc.freeze()  # a nursery forked from this one then looks only through what its own project makes
    Nursery(socket.socket(fileno=CONTROL)).run()


def prelaunch_by_fork() -> bool:
    """Fork a spare nursery from this process, which spares loading an interpreter. Returns whether it did.

    Sound only early in a command: one thread, hash seed 0 from its start, no database open yet.
    """
    is_sound = sys.platform == "linux" and thread_count() == 1 and not sys.flags.hash_randomization
    if not is_sound or has_spare():
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        _become_nursery(ours, theirs)
    theirs.close()
    offer(pid, ours)
    return True


def _become_nursery(ours: socket.socket, theirs: socket.socket) -> None:
    """Turn this forked process into a nursery; never returns."""
    try:
        ours.close()
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(write_through=True)
        atexit._clear()
        for number in (signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Nursery(theirs).run()
    finally:
        os._exit(70)

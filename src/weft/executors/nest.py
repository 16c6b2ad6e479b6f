"""A driver's handle on one run's nursery, and on each of its workers."""

from __future__ import annotations

import os
import socket
from collections import deque
from pathlib import Path

import msgspec

from weft.errors import WeftError
from weft.executors.admission import Grant
from weft.executors.backlog import Lane
from weft.executors.launch import take
from weft.executors.orders import Close, Kill, Order, Setup, Spawn, Stop, Watch, Word
from weft.model.context import RunContext
from weft.model.jobs import Job, Report
from weft.worker.wire import Batch, Channel, Done, frame

# A background thread of the allocator that pyarrow brings would forbid forking, and it is not even in use.
_QUIET = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
_decode_done = msgspec.msgpack.Decoder(Done).decode
_decode_word = msgspec.msgpack.Decoder(Word).decode


class NurseryLost(WeftError):
    """The process that starts workers cannot be kept alive."""

    code = "nursery-lost"

    def __init__(self, run: str, tail: str) -> None:
        super().__init__(
            f"the process that starts the workers of run {run} ended by itself"
            + (f":\n{tail}" if tail else ""),
            hint="Resume the run; if it happens again, `weft doctor` shows what is wrong on this machine.",
        )


class Hand:
    """One worker, as the driver sees it.

    Attributes:
        outstanding: jobs sent and not yet reported, in order; the first is running.
        stop: which job it was told to end, and why; from then on the worker is not used again.
        held: the report of a stopped job, kept until all that the job started is gone.
        devices: its CUDA_VISIBLE_DEVICES, for as long as it lives; None: as the driver's.
    """

    __slots__ = (
        "channel", "devices", "done", "grant", "held", "lane", "nest", "number", "outstanding", "pid",
        "retired", "stop", "theirs", "watched",
    )  # fmt: skip

    def __init__(self, nest: Nest, number: int) -> None:
        ours, theirs = socket.socketpair()
        self.nest = nest
        self.number = number
        self.channel = Channel(ours)
        self.theirs: socket.socket | None = theirs
        self.outstanding: deque[Job] = deque()
        self.lane: Lane | None = None
        self.grant: Grant | None = None
        self.stop: tuple[int, str] | None = None
        self.held: Report | None = None
        self.watched: int | None = None
        self.devices: str | None = None
        self.pid = 0
        self.done = 0
        self.retired = False

    @property
    def name(self) -> str:
        return f"local-{self.number}"

    def send(self, jobs: list[Job]) -> None:
        self.outstanding += jobs
        data = frame(Batch(jobs, self.devices))
        if self.theirs is not None:
            self.channel.backlog += data  # not born yet: a fresh worker must read its context first
        else:
            self.channel.send(data)

    def reports(self) -> tuple[list[Done], bool]:
        """Return what the worker reported, and whether its end of the link is open."""
        payloads, is_open = self.channel.read()
        return [_decode_done(payload) for payload in payloads], is_open

    def last_reports(self) -> list[Done]:
        return [_decode_done(payload) for payload in self.channel.drain()]


class Nest:
    """One run's nursery process and its workers.

    ``ready`` False: the nursery still imports; workers that are asked for wait, and so do their jobs, in
    the links to them.
    """

    def __init__(self, context: RunContext, *, fresh: bool) -> None:
        self.context = msgspec.structs.replace(context, cwd=context.cwd or os.getcwd())
        self.fresh = fresh
        self.ready = False
        self.unforkable = False
        self.hands: dict[int, Hand] = {}
        self.idle: list[Hand] = []
        self._unborn: list[Hand] = []
        self._log = Path(context.log_folder) / ".nursery"
        self.pid = 0
        self.launches = 1
        self.channel = self._launch()

    def _launch(self) -> Channel:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**_QUIET, **os.environ, **self.context.environment}
        self.pid, control = take(self.context.python_flags, environment)
        channel = Channel(control)
        channel.send(frame(Setup(self.context, self.fresh, environment, str(self._log))))
        return channel

    def relaunch(self, *, fresh: bool) -> None:
        """Start the nursery again after its end; workers that were not started yet keep their jobs.

        Args:
            fresh: workers are to be their own interpreters.
        """
        self._reap()
        self.channel.close()
        self.launches += 1
        self.fresh, self.ready = fresh, False
        self.channel = self._launch()

    def words(self) -> tuple[list[Word], bool]:
        payloads, is_open = self.channel.read()
        return [_decode_word(payload) for payload in payloads], is_open

    def hire(self, number: int) -> Hand:
        """Return a worker that ``spawn_waiting`` will start."""
        hand = Hand(self, number)
        self.hands[number] = hand
        self._unborn.append(hand)
        return hand

    def spawn_waiting(self) -> list[Hand]:
        """Have those workers started that wait for it, and return them."""
        born: list[Hand] = []
        while self._unborn and self.channel.flush():
            hand = self._unborn.pop(0)
            assert hand.theirs is not None
            self._send_with(frame(Spawn(hand.number)), hand.theirs)
            hand.theirs.close()
            hand.theirs = None
            if self.fresh:
                hand.channel.backlog[:0] = frame(self.context)
            hand.channel.flush()
            if hand.watched is not None:
                self.order(Watch(hand.number, hand.watched))
            born.append(hand)
        return born

    def _send_with(self, data: bytes, passenger: socket.socket) -> None:
        # The descriptor travels with the first byte, so this must not wait in the backlog.
        sock = self.channel.sock
        sock.setblocking(True)
        try:
            sent = socket.send_fds(sock, [data], [passenger.fileno()])
            while sent < len(data):
                sent += sock.send(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            return  # its end is read from the channel
        finally:
            sock.setblocking(False)

    def order(self, order: Order) -> None:
        self.channel.send(frame(order))

    def watch(self, hand: Hand, memory_bytes: int | None) -> None:
        if hand.watched != memory_bytes:
            hand.watched = memory_bytes
            if hand.theirs is None:
                self.order(Watch(hand.number, memory_bytes))

    def stop(self, hand: Hand) -> None:
        self.order(Stop(hand.number))

    def kill(self, hand: Hand) -> None:
        self.order(Kill(hand.number))

    def tail(self) -> str:
        """Return the end of what the nursery itself printed, such as a crash while importing."""
        try:
            return self._log.read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""

    def close(self, grace_ms: int) -> None:
        """End the nursery, its workers and all that they started; returns when they are gone."""
        for hand in self.hands.values():
            hand.channel.close()
            if hand.theirs is not None:
                hand.theirs.close()
        self.channel.sock.setblocking(True)
        self.order(Close(grace_ms))
        self._reap()
        self.channel.close()
        if not self.tail():
            self._log.unlink(missing_ok=True)

    def _reap(self) -> None:
        while self.channel.read()[1]:
            pass
        if self.pid:
            os.waitpid(self.pid, 0)

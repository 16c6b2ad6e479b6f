"""The worker program: reads batches of jobs, evaluates one at a time, writes each report at once.

A worker is forked by a nursery that has imported the project's modules, or started fresh as its own
interpreter. Its link to the driver is one socket; when that closes, the worker ends.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import mmap
import os
import resource
import socket
import sys
import time
import traceback
from typing import Any, Protocol

import msgspec

from weft.errors import DiskFull
from weft.model.context import RunContext
from weft.model.jobs import Job, Report
from weft.model.values import Failure
from weft.worker import checkpoints
from weft.worker.capture import CELL_BYTES, Capture, Cell
from weft.worker.context import Current, activate, deactivate
from weft.worker.stops import Stops, stop_report
from weft.worker.wire import READ_BYTES, Batch, Done, FrameReader, frame

_decode_batch = msgspec.msgpack.Decoder(Batch).decode  # made before workers are forked
_MEASURED_FROM_NS = 20_000_000  # below 20 ms an attempt's peak memory is not worth two system calls


class JobEvaluator(Protocol):
    """What a worker needs of the evaluator that the run's context names."""

    def evaluate(self, job: Job) -> Report: ...


def load_evaluator(context: RunContext) -> type[Any]:
    """Return the class that ``context.evaluator`` names."""
    module, _, name = context.evaluator.partition(":")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def enter_project(context: RunContext) -> None:
    """Take on the run's folder, search path and environment."""
    for entry in reversed(context.sys_path):
        if entry in sys.path:
            sys.path.remove(entry)
        sys.path.insert(0, entry)
    os.environ.update(context.environment)
    if context.cwd:
        os.chdir(context.cwd)


def broken_report(job: Job, error: BaseException) -> Report:
    """Return the report of a job whose evaluator itself failed."""
    text = "".join(traceback.format_exception(error))
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    failure = Failure("weft", name, str(error), text, None, False)
    if isinstance(error, DiskFull):
        failure = msgspec.structs.replace(failure, kind="disk", retryable=True)
    return Report(job.id, "fail", failure=failure, failed_entry=0)


class Worker:
    """One worker process: state is the evaluator, built at the first job, and the devices in use."""

    def __init__(self, link: socket.socket, context: RunContext, capture: Capture) -> None:
        self._link = link
        self._context = context
        self._capture = capture
        self._stops = Stops()
        self._evaluator: JobEvaluator | None = None
        self._reader = FrameReader()
        self._pid = os.getpid()
        _reset_peak()

    def serve(self) -> None:
        """Work until the driver closes the link."""
        self._capture.install()
        self._stops.install()
        while data := self._receive():
            for payload in self._reader.feed(data):
                self._work(_decode_batch(payload))

    def _receive(self) -> bytes:
        try:
            return self._link.recv(READ_BYTES)
        except ConnectionResetError:
            return b""

    def _work(self, batch: Batch) -> None:
        if batch.devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = batch.devices
        for job in batch.jobs:
            started_ns = time.perf_counter_ns()
            report = self._run(job)
            if os.getpid() != self._pid:
                os._exit(1)  # a child that the step forked came back out of the step: it is no worker
            took_ns = time.perf_counter_ns() - started_ns
            if took_ns >= _MEASURED_FROM_NS:
                report.memory_bytes_max = _take_peak()
            self._link.sendall(frame(Done(report, took_ns // 1000)))

    def _run(self, job: Job) -> Report:
        context, capture = self._context, self._capture
        capture.begin(job.task, job.attempt)
        activate(Current(job.run, job.task, job.attempt, job.key, context.work_folder), capture.put_progress)
        checkpoints.enter(context, job)
        started_ms = time.time_ns() // 1_000_000
        cpu_ns = time.process_time_ns()
        report = self._evaluate(job)
        report.cpu_ms = (time.process_time_ns() - cpu_ns) // 1_000_000
        report.started_ms = started_ms
        deactivate()
        checkpoints.leave()
        report.log_bytes = capture.end()
        report.ended_ms = time.time_ns() // 1_000_000
        return report

    def _evaluate(self, job: Job) -> Report:
        try:
            try:
                if self._evaluator is None:
                    self._evaluator = load_evaluator(self._context)(self._context)
                self._stops.arm(job)
                report = self._evaluator.evaluate(job)
            finally:
                self._stops.disarm()
        except BaseException as error:  # noqa: BLE001 - the outermost loop: a job always gets a report
            report = broken_report(job, error)
        if self._stops.fired is not None:
            text = report.failure.traceback if report.failure else ""
            return stop_report(job, self._stops.fired, text)
        return report


def _reseed() -> None:
    """Give this worker random numbers of its own, as each process has that was not forked.

    Python does so for ``random``. NumPy does not: without this, tasks that run side by side would draw
    the same numbers. A seed that the project itself set while it was imported stays.
    """
    generator = getattr(sys.modules.get("numpy.random"), "mtrand", None)
    legacy = getattr(getattr(generator, "_rand", None), "_bit_generator", None)
    if getattr(legacy, "_seed_seq", None) is not None and generator is not None:
        generator.seed()


def _reset_peak() -> None:
    if sys.platform == "linux":
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            return  # some containers forbid it; then the peak is the process's, not the attempt's


def _take_peak() -> int:
    """Return this process's peak of resident memory since the last call."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open("/proc/self/status", "rb") as file:
        line = next((line for line in file if line.startswith(b"VmHWM")), b"VmHWM: 0 kB")
    _reset_peak()
    return int(line.split()[1]) * 1024


def work(
    link: socket.socket, context: RunContext, records: socket.socket, cell: int, raw: tuple[int, int]
) -> None:
    """Be a worker until the driver lets go, then end this process.

    Args:
        link: to the driver.
        records: to the pump; ``cell`` is the file of the shared page, ``raw`` the read ends of the pipes
            that are this process's file descriptors 1 and 2.
    """
    faulthandler.enable(2)  # a crash in C code then tells the line, as the attempt's last output
    _reseed()
    capture = Capture(records, Cell(mmap.mmap(cell, CELL_BYTES)), raw)
    worker = Worker(link, context, capture)
    try:
        worker.serve()
    except BrokenPipeError:
        os._exit(0)  # the driver is gone in the middle of a batch
    atexit._run_exitfuncs()
    capture.end()
    os._exit(0)


def start_fresh() -> None:
    """Be a worker in a fresh interpreter: file descriptors come as arguments, the context as first frame."""
    link_fd, records_fd, cell_fd, out_fd, err_fd = (int(argument) for argument in sys.argv[1:6])
    sys.argv[1:] = []
    link, records = socket.socket(fileno=link_fd), socket.socket(fileno=records_fd)
    for descriptor in (link_fd, records_fd, cell_fd, out_fd, err_fd):
        os.set_inheritable(descriptor, False)
    header = _read_exactly(link, 4)
    payload = _read_exactly(link, int.from_bytes(header, "little"))
    context = msgspec.msgpack.decode(payload, type=RunContext)
    enter_project(context)
    for name in context.preload:
        with contextlib.suppress(Exception):  # the job that needs it meets the error and reports it
            importlib.import_module(name)
    work(link, context, records, cell_fd, (out_fd, err_fd))


def _read_exactly(link: socket.socket, size: int) -> bytes:
    pieces = []
    while size:
        piece = link.recv(min(size, 1 << 20))
        if not piece:
            os._exit(0)  # the driver is gone already
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)

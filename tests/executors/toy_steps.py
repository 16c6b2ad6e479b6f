"""An evaluator for the executors' tests: a job names a function of this file and its arguments."""

from __future__ import annotations

import ctypes
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback
import warnings

import msgspec

import weft.worker.checkpoints as checkpoints_of_step
import weft.worker.context as context_of_step
from weft.model.jobs import Job, Output, Report
from weft.model.values import Artifact, Failure


def noop():
    return None


def echo(value):
    return value


def sleep(seconds):
    time.sleep(seconds)
    return os.getpid()


def pid():
    return os.getpid()


def meet(folder, number, count):
    """Wait for others: done when ``count`` have come, which is never if they cannot all run by now."""
    folder = pathlib.Path(folder)
    (folder / f"came-{number}").touch()
    while len(list(folder.glob("came-*"))) < count:
        time.sleep(0.005)
    time.sleep(0.02)  # tiny jobs leave in batches, behind one another
    return os.getpid()


def hold(path):
    """Run until a file is there."""
    while not os.path.exists(path):
        time.sleep(0.005)


def module_pid(name):
    return sys.modules[name].IMPORTED_IN


def draw():
    return sys.modules["numpy"].random.rand()


def parent_and_variable(name):
    return [os.getppid(), os.environ.get(name)]


def leave(code):
    os._exit(code)


def kill_self(number):
    os.kill(os.getpid(), number)
    time.sleep(30)


def fail(text):
    raise ValueError(text)


def stubborn(path):
    """Swallow every stop."""
    while True:
        try:
            pathlib.Path(path).touch()
            time.sleep(30)
        except BaseException:  # noqa: BLE001
            pass


def tidy(path):
    try:
        time.sleep(30)
    finally:
        pathlib.Path(path).write_text("tidied")


def start_child(path):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pathlib.Path(f"{path}.fresh").write_text(str(child.pid))
    pathlib.Path(f"{path}.fresh").rename(path)
    child.wait()


def with_children(folder):
    """Start a child that ignores SIGTERM, and one that detached itself, then wait for ever."""
    folder = pathlib.Path(folder)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", deaf])
    (folder / "child").write_text(str(child.pid))
    detach(folder / "detached", 60)
    time.sleep(60)


def detach(path, seconds):
    """Fork twice with a session of its own; the grandchild sleeps."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            fresh = pathlib.Path(f"{path}.fresh")
            fresh.write_text(str(os.getpid()))
            fresh.rename(path)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(seconds)
        os._exit(0)
    os.wait()
    while not os.path.exists(path):
        time.sleep(0.001)
    return int(pathlib.Path(path).read_text())


def detach_and_leave(path):
    detach(path, 60)
    os._exit(3)


def eat(megabytes, seconds=30.0):
    block = bytearray(os.urandom(1 << 20)) * megabytes
    time.sleep(seconds)
    return len(block)


def eat_in_child(megabytes):
    code = f"import os, time; block = bytearray(os.urandom(1 << 20)) * {megabytes}; time.sleep(30)"
    subprocess.run([sys.executable, "-c", code], check=False)


def speak():
    print("one")
    print("two", file=sys.stderr)
    logging.getLogger("app").info("three")
    warnings.warn("four", UserWarning, stacklevel=1)
    sys.stdout.write("fi")
    sys.stdout.write("ve\n")


def greet():
    print("hello")
    print("careful", file=sys.stderr)


def speak_then_sleep():
    print("early")
    time.sleep(30)


def speak_raw():
    os.write(1, b"from c\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)


def write_raw(number):
    os.write(1, b"raw %d\n" % number)


def speak_and_die():
    print("last words")
    os.write(2, b"raw last words\n")
    os._exit(9)


def flood(megabytes):
    line = b"x" * 1023 + b"\n"
    os.write(1, b"first\n")
    for _ in range(megabytes << 10):
        os.write(1, line)
    os.write(1, b"last\n")


def long_line(megabytes):
    sys.stdout.write("y" * (megabytes << 20))


def fork_and_fall_through():
    if os.fork() == 0:
        return "child"
    os.wait()
    return "parent"


def hash_seed():
    return [hash("weft"), list({"a", "b", "c", "d", "e"})]


def devices():
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def use_work_dir():
    folder = context_of_step.current().work_dir
    (folder / "file").write_text("x")
    return str(folder)


def resume_from_checkpoint(die):
    before = checkpoints_of_step.checkpoint.load(0)
    checkpoints_of_step.checkpoint.save(before + 1)
    if die:
        os._exit(1)
    return before


def report_progress():
    for done in range(1000):
        context_of_step.progress(done, 1000, "working")
    context_of_step.progress(1000, 1000, "done")


def crash_in_c():
    ctypes.string_at(0)


class Evaluator:
    def __init__(self, context):
        self.context = context

    def evaluate(self, job: Job) -> Report:
        name, *arguments = msgspec.msgpack.decode(job.slots[0].inline)
        try:
            value = globals()[name](*arguments)
        except BaseException as error:  # noqa: BLE001 - what user code raises, as the real evaluator does
            text = "".join(traceback.format_exception(error))
            failure = Failure("user", type(error).__qualname__, str(error), text)
            return Report(job.id, "fail", failure=failure, failed_entry=0)
        return Report(job.id, "ok", outputs=[Output(pack(value), ("out",))])


def pack(value) -> Artifact:
    raw = msgspec.msgpack.encode(value)
    return Artifact("b3:0", "msgpack", len(raw), raw)

"""What this machine has, what is in use, and what a request gets. Never more is given than there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from weft.executors.port import Capacity, ImpossibleRequest
from weft.model.jobs import Limits
from weft.seams import deferred

if TYPE_CHECKING:
    import shutil
    import subprocess
else:
    shutil = deferred("shutil")
    subprocess = deferred("subprocess")

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def count_cores() -> int:
    """Return how many cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def count_memory() -> int:
    """Return the memory of this machine or of the container around this process, whichever is less."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in _CGROUP_LIMITS:
        try:
            with open(path, encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def find_gpus() -> tuple[str, ...]:
    """Return the devices that this process may use: ``CUDA_VISIBLE_DEVICES``, else what nvidia-smi lists."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1"))
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return tuple(answer.stdout.split()) if answer.returncode == 0 else ()


class Grant(msgspec.Struct, frozen=True):
    """What one worker holds while it runs: give it back once."""

    cpu: float
    memory_bytes: int
    gpus: tuple[str, ...] = ()


class Budget:
    """What is there and what is free. ``gpus`` None: looked for when the first step asks for one."""

    def __init__(
        self,
        cpu: float,
        memory_bytes: int,
        gpus: tuple[str, ...] | None = None,
        find: Callable[[], tuple[str, ...]] = find_gpus,
    ) -> None:
        self.cpu = cpu
        self.memory_bytes = memory_bytes
        self.gpus = gpus
        self._find = find
        self._free_cpu = cpu
        self._free_memory = memory_bytes
        self._free_gpus = list(gpus or ())

    def devices(self) -> tuple[str, ...]:
        if self.gpus is None:
            self.gpus = self._find()
            self._free_gpus = list(self.gpus)
        return self.gpus

    def capacity(self) -> Capacity:
        return Capacity(self.cpu, self.memory_bytes, self.gpus or ())

    def clamp(self, limits: Limits) -> tuple[Limits, str]:
        """Return what ``limits`` can get here, and a warning if that is less.

        Raises:
            ImpossibleRequest: more devices are asked for than there are.
        """
        if limits.gpu and limits.gpu > len(self.devices()):
            raise ImpossibleRequest("gpu", limits.gpu, len(self.devices()))
        cpu = min(limits.cpu, self.cpu)
        memory = limits.memory_bytes
        if memory is not None:
            memory = min(memory, self.memory_bytes)
        if cpu == limits.cpu and memory == limits.memory_bytes:
            return limits, ""
        return Limits(limits.timeout_ms, memory, cpu, limits.gpu), _warning(limits, cpu, memory)

    def free_cores(self) -> int:
        return int(self._free_cpu + 1e-9)

    def fits(self, limits: Limits) -> bool:
        return (
            limits.cpu <= self._free_cpu + 1e-9
            and (limits.memory_bytes or 0) <= self._free_memory
            and (not limits.gpu or (len(self.devices()) >= limits.gpu and limits.gpu <= len(self._free_gpus)))
        )

    def take(self, limits: Limits) -> Grant:
        """Take what ``limits`` ask for; only after ``fits`` said so."""
        gpus = tuple(self._free_gpus[: limits.gpu])
        del self._free_gpus[: limits.gpu]
        grant = Grant(limits.cpu, limits.memory_bytes or 0, gpus)
        self._free_cpu -= grant.cpu
        self._free_memory -= grant.memory_bytes
        return grant

    def give_back(self, grant: Grant) -> None:
        self._free_cpu = min(self.cpu, self._free_cpu + grant.cpu)
        self._free_memory += grant.memory_bytes
        self._free_gpus += grant.gpus


def _warning(asked: Limits, cpu: float, memory: int | None) -> str:
    parts = []
    if cpu != asked.cpu:
        parts.append(f"cpu={asked.cpu:g} (it has {cpu:g})")
    if memory != asked.memory_bytes:
        parts.append(f"memory={bytes_text(asked.memory_bytes or 0)} (it has {bytes_text(memory or 0)})")
    return f"asks for more than this machine has, and gets all of it: {', '.join(parts)}"


def bytes_text(count: int, *, exact: bool = False) -> str:
    """Return a size as people write it: ``4 GiB``; with one decimal always if ``exact`` (``4.0 GiB``)."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    number = f"{size:.1f}"
    return f"{number if exact and unit != 'bytes' else number.removesuffix('.0')} {unit}"


def budget_of_machine(
    cpu: float | None = None, memory_bytes: int | None = None, gpus: tuple[str, ...] | None = None
) -> Budget:
    """Return a budget of what is given and, where None, of what this machine has."""
    return Budget(cpu or count_cores(), memory_bytes or count_memory(), gpus, partial(find_gpus))

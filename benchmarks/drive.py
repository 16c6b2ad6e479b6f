"""Run one workflow some times in this process; print seconds, result and memory as JSON: the side that pays.

A process of its own, so that one measurement leaves nothing behind for the next.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from benchmarks import workflows


def main() -> None:
    """Run the workflow named first as often as the second word says, with the integers that follow."""
    name, times, *numbers = sys.argv[1:]
    workflow = getattr(workflows, name)
    seconds, results = [], []
    for _ in range(int(times)):
        begin = time.perf_counter()
        run = workflow.run(*map(int, numbers))
        seconds.append(time.perf_counter() - begin)
        results.append(run.result())
    print(json.dumps({"seconds": seconds, "results": results, "peak_kib": peak_kib()}))


def peak_kib() -> int:
    """Return the most memory that this program has held [KiB]."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Not ru_maxrss: on Linux that starts with what the parent held when it forked.
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


if __name__ == "__main__":
    main()

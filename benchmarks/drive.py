"""Run one workflow some times in this process; print seconds, results and memory as JSON: the side that pays.

A process of its own, so that one measurement leaves nothing behind for the next.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

from benchmarks import workflows
from weft.executors.nest import Hand
from weft.model.jobs import Job
from weft.worker.wire import Batch, frame


def main() -> None:
    """Run the workflow that is named as often as is said, with the integers that follow."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drive")
    parser.add_argument("--reuse", action="store_true", help="take over what still holds of the run before")
    parser.add_argument("workflow")
    parser.add_argument("times", type=int)
    parser.add_argument("numbers", type=int, nargs="*")
    given = parser.parse_args()
    workflow = getattr(workflows, given.workflow)
    sent = count_sent_bytes() if given.workflow == "items" else [0]
    seconds, results, reused = [], [], []
    options: dict[str, Any] = {}
    for _ in range(given.times):
        begin = time.perf_counter()
        run = workflow.options(**options).run(*given.numbers)
        seconds.append(time.perf_counter() - begin)
        results.append(run.result())
        reused.append(sum(step.states.get("reused", 0) for step in run.steps()))
        if given.reuse:
            options = {"reuse": run.id}
    said = {"seconds": seconds, "results": results, "reused": reused, "sent_bytes": sent[0]}
    print(json.dumps({**said, "peak_kib": peak_kib()}))


def count_sent_bytes() -> list[int]:
    """Return a list whose only item becomes the bytes of all jobs that are sent to workers from now on."""
    sent = [0]
    send = Hand.send

    def counted(hand: Hand, jobs: list[Job]) -> None:
        sent[0] += len(frame(Batch(jobs, hand.devices)))
        send(hand, jobs)

    Hand.send = counted  # type: ignore[assignment,method-assign]
    return sent


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

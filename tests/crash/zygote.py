"""A warm process that forks a fresh driver process for each line that it reads: a start for a twentieth of the price.

A line is JSON: ``words`` of the command line, ``folder``, ``environment``, and ``kill``, a ``Spec`` or null. The
answer is the wait status. The child has the product loaded and nothing of any home open.
"""

from __future__ import annotations

import json
import os
import sys

import flows  # noqa: F401 - its steps' module, warm in nurseries too
import killing

from weft.cli.group import call
from weft.cli.running import run  # noqa: F401 - warm
from weft.client import door  # noqa: F401 - warm
from weft.executors.nursery import prelaunch_by_fork
from weft.worker import evaluate  # noqa: F401 - warm


def drive(order: dict[str, object]) -> int:
    """Be the command line in this forked process."""
    os.setsid()
    os.chdir(str(order["folder"]))
    os.environ.update(order["environment"])  # type: ignore[arg-type]
    out = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if "CRASH_SABOTAGE" in os.environ:
        killing.sabotage(os.environ["CRASH_SABOTAGE"])
    if order["kill"] is not None:
        killing.install(killing.Spec(*order["kill"]))  # type: ignore[misc]
    assert prelaunch_by_fork(), "the nursery must come from here, or its workers lack the points"
    return call(list(order["words"]))  # type: ignore[call-overload,no-any-return]


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = drive(json.loads(line))
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{status}\n".encode())


if __name__ == "__main__":
    main()

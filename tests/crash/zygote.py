"""A warm process that forks a fresh driver process for each line that it reads: a start for a twentieth of the price.

A line is JSON: ``words`` of the command line, ``folder``, ``output``, the file there for what is printed,
``environment``, and ``kill``, a ``Spec`` or null. The answers are the child's id at once, and its wait status at its
end. The child has the product loaded and nothing of any home open; ``CRASH_DRIVER`` tells its id to steps.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback

import flows  # noqa: F401 - its steps' module, warm in nurseries too
import killing

from weft.cli.group import call
from weft.cli.running import run  # noqa: F401 - warm
from weft.client import door  # noqa: F401 - warm
from weft.executors.nursery import prelaunch_by_fork
from weft.worker import evaluate  # noqa: F401 - warm

with contextlib.suppress(ImportError):  # as in the product, where no run needs it
    import psycopg  # noqa: F401 - warm


def drive(order: dict[str, object]) -> int:
    """Be the command line in this forked process."""
    os.setsid()
    os.chdir(str(order["folder"]))
    os.environ.update(order["environment"])  # type: ignore[arg-type]
    os.environ["CRASH_DRIVER"] = str(os.getpid())
    out = os.open(str(order["output"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
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
            except BaseException:  # noqa: BLE001 - a forked child must never return into the zygote's loop
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.write(1, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"{status}\n".encode())


if __name__ == "__main__":
    main()

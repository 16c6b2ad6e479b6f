"""The command line's entry. It turns every end into an exit code, and errors into messages."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from typing import Final, NoReturn

import weft
from weft.cli.commands import overview
from weft.cli.seam import load

_OBJECTS_BETWEEN_COLLECTIONS: Final = 100_000


def main(arguments: list[str] | None = None) -> int:
    """Run ``weft`` with ``arguments`` (the process's own if None) and return the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if "_WEFT_COMPLETE" not in os.environ:
        if words in ([], ["-h"], ["--help"]):
            print(overview(), end="")
            return 0
        if words == ["--version"]:
            print(f"weft {weft.__version__}")
            return 0
        if words[0] in ("run", "resume"):
            # Workers get ready while this process loads what it needs itself.
            load("weft.executors.launch:prelaunch")()
    # By name, so that the help above does not pay for click.
    code: int = load("weft.cli.group:call")(words)
    return code


def entry() -> NoReturn:
    """Run ``weft`` as this process: what the shell starts."""
    # What imports make stays until the end, so looking through it again and again would be time for nothing.
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    code = main()
    gc.freeze()
    _end_at_once(code)
    sys.exit(code)


def _end_at_once(code: int) -> None:
    """End this process, but for taking the interpreter apart, which is for nobody; returns where that may not be."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        return  # Started by the user's file: an ordinary exit waits for it.
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # The reader went away, which an ordinary exit reports in its own way.
    os._exit(code)


if __name__ == "__main__":
    entry()

"""A user's project for a test: a folder with modules, a home of its own, and Python processes in it."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

_numbers = itertools.count()
HEAD = "import os, time\nfrom pathlib import Path\nfrom weft import step, workflow\n"
WEFT = "import sys; from weft.cli.main import main; sys.exit(main())"
ENDED_WITHIN_S = 90.0  # a guard against a hang, not a measure of speed


class Project:
    """A folder that is the current one, with modules that are importable, and ``WEFT_HOME`` inside."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.monkeypatch = monkeypatch
        self.started: list[subprocess.Popen[str]] = []
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("WEFT_HOME", str(self.home))
        monkeypatch.delenv("WEFT_PROFILE", raising=False)

    def write(self, name: str, text: str) -> Path:
        """Write a file, dedented."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def module(self, text: str, name: str | None = None) -> ModuleType:
        """Write a module under a name that no other test has, and import it."""
        name = name or f"flow_{next(_numbers)}"
        self.write(f"{name}.py", HEAD + textwrap.dedent(text))
        return self.load(name)

    def load(self, name: str) -> ModuleType:
        """Import a module anew, as a new process would."""
        for known in [known for known in sys.modules if known.partition(".")[0] == name.partition(".")[0]]:
            self.monkeypatch.delitem(sys.modules, known)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def edit(self, module: ModuleType, old: str, new: str) -> ModuleType:
        """Change a module's file and import it anew."""
        assert module.__file__ is not None
        path = Path(module.__file__)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        # The byte code that was cached tells versions apart by size and whole seconds.
        os.utime(path, (time.time() + 2, time.time() + 2))
        return self.load(module.__name__)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a Python process in the folder."""
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONWARNINGS": "default", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """End what a failed test left running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def python(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a Python process to its end."""
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=ENDED_WITHIN_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def weft(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return self.python("-c", WEFT, *words, **environment)

    def start_weft(self, *words: str) -> subprocess.Popen[str]:
        """Start the command line."""
        return self.start("-c", WEFT, *words)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a file that steps append to; none if it is not there."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def until(condition: Callable[[], object], seconds: float = ENDED_WITHIN_S) -> None:
    """Wait until something outside this process is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)

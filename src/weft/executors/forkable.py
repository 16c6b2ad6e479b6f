"""Whether this process may still be forked, and which import made it unfit.

A second thread, or a CUDA context, does not survive a fork. Threads that their library stops itself before a
fork (OpenBLAS does, through ``pthread_atfork``) do not count: they are gone after a fork for trial.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def thread_count() -> int:
    """Return how many threads this process has; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _has_device_open() -> bool:
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith("/dev/nvidia"):
                return True
        except OSError:
            continue
    return False


def _has_cuda_context() -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
        return True
    return os.path.exists("/proc/self/fd") and _has_device_open()


def _fork_for_trial() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of what is tried here
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def obstacle() -> str:
    """Return what forbids to fork this process: ``a second thread``, ``a CUDA context`` or ""."""
    if thread_count() > 1:
        _fork_for_trial()
        if thread_count() > 1:
            return "a second thread"
    return "a CUDA context" if _has_cuda_context() else ""


class ImportWatch:
    """Notes the innermost import after which this process could not be forked any more.

    A finder before all others: it lets them find the module, then looks at the process after the
    module's code has run.
    """

    def __init__(self) -> None:
        self.module = ""
        self.what = ""

    def __enter__(self) -> ImportWatch:
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if self.what:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: importlib.machinery.ModuleSpec | None = None
            if finder is not self and find is not None:
                spec = find(name, path, target)
            if spec is None:
                continue
            if isinstance(
                spec.loader, (importlib.machinery.SourceFileLoader, importlib.machinery.ExtensionFileLoader)
            ):
                self._look_after(name, spec.loader)
            return spec
        return None

    def _look_after(self, name: str, loader: Any) -> None:
        run: Callable[[ModuleType], None] = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            run(module)
            if thread_count() > 1:
                self.check(name)

        loader.exec_module = exec_module

    def check(self, name: str) -> None:
        """Blame ``name`` if the process cannot be forked now and nothing was to blame before."""
        if not self.what:
            self.what = obstacle()
            self.module = name if self.what else ""

"""Workflows from files: ``FILE[:WORKFLOW]``."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from weft.errors import UserError
from weft.lang.workflows import Workflow
from weft.seams import importing_for_worker


class NoSuchFile(UserError):
    """The file of a workflow is not there."""

    code = "no-such-file"

    def __init__(self, path: str) -> None:
        problem = f"{path} is a folder" if os.path.isdir(path) else f"there is no file {path}"
        super().__init__(problem, hint="Give the path of a Python file: weft run flows/train.py")


class NoWorkflow(UserError):
    """The file has no workflow, or none of this name."""

    code = "no-workflow"

    def __init__(self, path: str, name: str | None, known: list[str]) -> None:
        if name is None:
            super().__init__(f"{path} has no workflow", hint="Mark a function with @workflow.")
        else:
            listed = ", ".join(known) or "none"
            super().__init__(
                f"{path} has no workflow {name!r}; it has: {listed}", hint="Check the name after the colon."
            )


class WhichWorkflow(UserError):
    """The file has several workflows and none was chosen."""

    code = "which-workflow"

    def __init__(self, path: str, known: list[str]) -> None:
        super().__init__(
            f"{path} has several workflows: {', '.join(known)}", hint=f"Choose one: {path}:{known[0]}"
        )


class BrokenFile(UserError):
    """The file cannot be imported; ``__cause__`` is what its own code raised."""

    code = "broken-file"

    def __init__(self, path: str, error: BaseException) -> None:
        super().__init__(
            f"{path} cannot be imported: {type(error).__name__}: {error}",
            hint="Correct it; the traceback is above.",
        )


class NotAPackagePath(UserError):
    """The file's name is no Python module name."""

    code = "bad-module-name"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: its name is no name of a Python module",
            hint="Use letters, digits and underscores, and end it with .py.",
        )


def load_workflow(target: str) -> Workflow[..., Any]:
    """Return the workflow that ``FILE[:WORKFLOW]`` names.

    Raises:
        NoSuchFile, NoWorkflow, WhichWorkflow, BrokenFile: see each.
    """
    path, name = split_target(target)
    found = workflows_of(load_module(path))
    if name is not None:
        if name not in found:
            raise NoWorkflow(path, name, sorted(found))
        return found[name]
    if not found:
        raise NoWorkflow(path, None, [])
    if len(found) > 1:
        raise WhichWorkflow(path, list(found))
    return next(iter(found.values()))


def load_workflows(target: str) -> list[Workflow[..., Any]]:
    """Return all workflows of a file, or the one that is named."""
    path, name = split_target(target)
    if name is not None:
        return [load_workflow(target)]
    found = workflows_of(load_module(path))
    if not found:
        raise NoWorkflow(path, None, [])
    return list(found.values())


def split_target(target: str) -> tuple[str, str | None]:
    """Return the file and the name of ``FILE[:NAME]``."""
    path, colon, name = target.rpartition(":")
    if colon and name.isidentifier():
        return path, name
    return target, None


def workflows_of(module: ModuleType) -> dict[str, Workflow[..., Any]]:
    """Return the workflows that a module defines itself, by name, in the order of the text."""
    names = (module.__name__, "__main__") if module is sys.modules["__main__"] else (module.__name__,)
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Workflow) and getattr(value.function, "__module__", "") in names
    }


def load_module(path: str) -> ModuleType:
    """Import a file under the name that its package gives it.

    Raises:
        NoSuchFile: it is not there. BrokenFile: its code fails, with the user's traceback as cause.
    """
    file = Path(path)
    if not file.is_file():
        raise NoSuchFile(path)
    folder, name = _module_name(file.absolute(), path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    known = sys.modules.get(name)
    if known is not None and os.path.abspath(getattr(known, "__file__", "") or "") == str(file.absolute()):
        return known
    try:
        with importing_for_worker(path):
            return importlib.import_module(name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise BrokenFile(path, error) from error


def _module_name(file: Path, shown: str) -> tuple[str, str]:
    """Return the folder to put on the path and the module's name: packages count from their top."""
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise NotAPackagePath(shown)
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return str(folder), ".".join(parts)

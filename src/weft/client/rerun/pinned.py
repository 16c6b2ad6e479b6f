"""The code that a run had: found in place, or restored beside the project, and run again as it was."""

from __future__ import annotations

import collections
import datetime
import decimal
import inspect
import json
import pathlib
import typing
from pathlib import Path
from types import FunctionType
from typing import Any

import msgspec

from weft.client.home import Home
from weft.client.run import Run
from weft.client.starting import home_as_started, short_text
from weft.driver.launch import Launch, launch_to_bytes
from weft.errors import UserError
from weft.lang.parameters import UnknownParameter, parse_parameters
from weft.model.jobs import Output
from weft.model.journal import JournalEntry
from weft.model.progress import Listener
from weft.model.records import NewRun, RunRecord, seal_run
from weft.program.nodes import Program
from weft.store.project import pin_project, restore_project
from weft.store.project_files import loaded_files


class NoPinnedCode(UserError):
    """A run has no code on record."""

    code = "no-pinned-code"

    def __init__(self, run: str) -> None:
        super().__init__(
            f"run {run} was started from a notebook, so its code is not on record",
            hint="Resume it from there: run.resume().",
        )


class UnreadableParameter(UserError):
    """A text for a parameter whose annotation only the old code knows."""

    code = "unreadable-parameter"

    def __init__(self, name: str, annotation: str) -> None:
        super().__init__(
            f"parameter {name!r} is a {annotation}, which cannot be read from text without loading the old code",
            hint=f'Give the value itself, in Python: run.resume(code="pinned", params={{"{name}": ...}}).',
        )


def with_its_code(home: Home, launch: Launch) -> Launch:
    """Return the launch such that workers find the code that the run had: in place, or restored beside."""
    if launch.pin is None:
        return launch
    if is_in_place(home, launch):
        return launch
    folder = home.folder("code") / launch.pin.archive.digest.partition(":")[2]
    if not folder.is_dir():
        restore_project(launch.pin, home.blobs, folder)
    return moved_to(folder, launch)


def moved_to(folder: Path, launch: Launch) -> Launch:
    """Return the launch for workers that find the project in ``folder``."""
    root = Path(launch.root)
    return msgspec.structs.replace(
        launch,
        root=str(folder),
        sys_path=tuple(_moved(entry, root, folder) for entry in launch.sys_path),
        main_file=None if launch.main_file is None else _moved(launch.main_file, root, folder),
    )


def is_in_place(home: Home, launch: Launch) -> bool:
    """Return whether the project's folder holds the code that the run had; True where none is on record."""
    root = Path(launch.root)
    if launch.pin is None:
        return True
    if not root.is_dir():
        return False
    now = pin_project(
        root,
        home.blobs,
        used=loaded_files(root),
        cache_folder=home.folder("cache"),
        skipped=home.settings.home,
    )
    return now.archive.digest == launch.pin.archive.digest


def _moved(path: str, root: Path, folder: Path) -> str:
    try:
        inside = Path(path).relative_to(root)
    except ValueError:
        return path
    if inside.parts and inside.parts[0] in (".venv", "venv", ".git"):
        return path
    return str(folder / inside)


def again_as_it_was(
    home: Home, record: RunRecord, params: Any, refresh: tuple[str, ...], on_event: Listener | None
) -> Run[Any]:
    """Start a new run of the old program with the old code.

    Raises:
        NoPinnedCode: it was started from a notebook. ParameterError: see ``parse_parameters``.
    """
    launch = home.launch(record)
    if launch.pin is None:
        raise NoPinnedCode(record.id)
    home = home_as_started(home, record, launch)
    values = pinned_values(home.program(record), params)
    given = [left for output in launch.given if (left := _without(output, values)).names]
    given += [Output(home.store.put(value, f"parameter {name}"), (name,)) for name, value in values.items()]
    launch = msgspec.structs.replace(with_its_code(home, launch), refresh=refresh, given=given)
    shown = json.loads(record.params) | {name: short_text(value) for name, value in values.items()}
    cause = f"continues {record.id} with its own code"
    new = accept_again(home, record, launch, cause, params=json.dumps(shown), resumed_from=record.id)
    return home.drive(new, launch, on_event)


def accept_again(home: Home, record: RunRecord, launch: Launch, cause: str, **other: Any) -> RunRecord:
    """Write the row of a new run of a run's program. ``other``: what of the row is not as it was."""
    now_ms = home.clock.now_ms()
    fields = ("workflow", "program", "module", "file", "params", "tags", "profile", "code")
    same = {name: getattr(record, name) for name in fields}
    new = NewRun(
        **same | {"id": home.clock.new_id(), "created_ms": now_ms, "inputs": launch_to_bytes(launch), **other}
    )
    entries = [JournalEntry(now_ms, "run.accepted", "", cause, seal_run(new))]
    home.database.runs.create(new, home.database.runs.program(record.program), entries)
    return home.database.runs.get(new.id)


def _without(output: Output, names: dict[str, Any]) -> Output:
    return Output(output.artifact, tuple(name for name in output.names if name not in names), output.solo)


def pinned_values(program: Program, params: Any) -> dict[str, Any]:
    """Return the values of parameters that are given anew, as values or as texts, by the program alone."""
    known = [parameter.name for parameter in program.parameters]
    if not isinstance(params, dict):
        return parse_parameters(_reader(program, params), params, known=known)
    for name in params:
        if name not in known:
            raise UnknownParameter(name, known, program.name)
    return params


_PLAIN = {
    **vars(typing),
    **{name: value for module in (decimal, collections, pathlib) for name, value in vars(module).items()},
    **{name: getattr(datetime, name) for name in ("date", "time", "timedelta")},
    "collections": collections,
    "datetime": datetime,
    "decimal": decimal,
    "pathlib": pathlib,
    "typing": typing,
}


def _reader(program: Program, texts: Any) -> Any:
    """Return a function that has the program's parameters, to read texts by; only plain types are known to it."""
    named = {text.partition("=")[0].strip() for text in texts}
    parameters = []
    for each in program.parameters:
        if each.annotation and each.name in named:
            _check_plain(each.name, each.annotation)
        default = inspect.Parameter.empty if each.default is None else None
        annotation = each.annotation or inspect.Parameter.empty
        kind = inspect._ParameterKind[each.kind.upper()]
        parameters.append(inspect.Parameter(each.name, kind, default=default, annotation=annotation))
    function = FunctionType((lambda: None).__code__, _PLAIN, program.name)
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def _check_plain(name: str, annotation: str) -> None:
    try:
        eval(annotation, dict(_PLAIN))
    except Exception as error:
        raise UnreadableParameter(name, annotation) from error

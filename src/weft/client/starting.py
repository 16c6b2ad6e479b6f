"""Starting a run: compile, store the arguments, pin the code, accept the run, drive it."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec

from weft.client.bounds import check_parameters, checked_tags
from weft.client.home import Home
from weft.client.prepare import Prepared, prepare
from weft.client.rerun.past import step_paths
from weft.client.run import Run
from weft.driver.launch import Launch, launch_to_bytes
from weft.driver.reuse import names_task, without_indexes
from weft.errors import UserError
from weft.executors.port import ImpossibleRequest
from weft.lang.binding import bind
from weft.lang.steps import StepOptions, parse_options
from weft.lang.workflows import Workflow
from weft.model.jobs import Limits
from weft.model.journal import JournalEntry
from weft.model.records import NewRun, Reference, RunRecord, seal_run
from weft.model.resources import parse_bytes
from weft.program.nodes import Program, StepSpec
from weft.program.serial import program_digest, program_to_bytes
from weft.seams import imported_for_worker
from weft.settings import Settings, read_settings
from weft.store.project import CodePin, pin_project
from weft.store.project_files import loaded_files, project_root
from weft.worker.context import current

RUN_OPTIONS = (
    "cache",
    "executor",
    "home",
    "name",
    "on_event",
    "profile",
    "refresh",
    "reuse",
    "slots",
    "strict",
    "tags",
)


class RunWhileImported(UserError):
    """``.run()`` was reached while a worker, or the command line, imports the user's file."""

    code = "run-while-imported"

    def __init__(self, what: str, file: str, line: int) -> None:
        super().__init__(
            f"{file}:{line}: a run is started here while {what} is being imported",
            hint='Put the call under `if __name__ == "__main__":`, so that importing the file starts nothing.',
        )


class UnknownOption(UserError):
    """``workflow.options(...)`` was given something that it does not know."""

    code = "unknown-option"

    def __init__(self, name: str, value: object) -> None:
        super().__init__(
            f"a run has no option {name}={value!r}",
            hint=f"Its options are {', '.join(RUN_OPTIONS)}. Parameters of the workflow go to .run(...).",
        )


class NoStepToRefresh(UserError):
    """``refresh`` names something that the workflow does not call."""

    code = "no-step-to-refresh"

    def __init__(self, name: str, workflow: str, known: list[str]) -> None:
        super().__init__(
            f"{workflow} calls no step {name!r}, so it cannot be refreshed",
            hint=f"Its steps are {', '.join(known)}." if known else "It calls no step.",
        )


def start(
    workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], **more: Any
) -> Run[Any]:
    """Start a run and return it at once.

    Args:
        more: for a run that continues another: ``resumed_from``, ``refresh``. For a test: its own ``home``.

    Raises:
        TypeError: the arguments do not fit, as the plain call says it.
        CompileErrors, BadSettings, ImpossibleRequest, Unstorable: nothing was started.
        ParametersTooLarge, TooManyTags, TagTooLong: nor was it.
    """
    _refuse_while_imported(workflow)
    options = dict(workflow.run_options)
    for name, value in options.items():
        if name not in RUN_OPTIONS:
            raise UnknownOption(name, value)
    root = root_of(workflow)
    home = more.get("home") or Home(settings_for(root, options))
    options["tags"] = checked_tags(options.get("tags") or {})
    prepared = prepare(workflow, home.store, args, kwargs)
    check_parameters(prepared.given, parse_bytes("parameters_max", home.settings.parameters_max))
    program = with_defaults(prepared.program, home.settings)
    executor = home.make_executor()
    notes = check_limits(program, executor)
    refresh = _refreshed(program, options)
    reused = home.database.runs.get(options["reuse"]).id if options.get("reuse") else None
    if options.get("on_event") is None:
        for note in notes:  # nobody listens to the run, so it is said the way that Python says things
            warnings.warn(note, RuntimeWarning, stacklevel=4)
    launch = Launch(
        given=prepared.given,
        code={**prepared.code, "strict": bool(options.get("strict", False))},
        main_file=prepared.main_file,
        root=str(root),
        cwd=os.getcwd(),
        sys_path=_search_path(),
        preload=tuple(dict.fromkeys([*prepared.preload, *_preload(program, home.settings)])),
        python_flags=() if __debug__ else ("-O",),
        pin=_pin(home, root, prepared),
        cache=options.get("cache", True if home.settings.cache else None),
        refresh=(*refresh, *more.get("refresh", ())),
        executor=options.get("executor") or "",
        slots=options.get("slots"),
    )
    continued = more.get("resumed_from") or reused
    record = accept(home, workflow, program, launch, (args, kwargs), options, notes, continued)
    run = home.drive(record, launch, options.get("on_event"), executor, program)
    run.made_of = workflow
    return run


def _refreshed(program: Program, options: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of what is to run in any case; each must be a task, step or group of the program."""
    given = options.get("refresh") or ()
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names:
        return ()
    steps = step_paths(program)
    for name in names:
        if not any(names_task(without_indexes(name), step) for step in steps):
            raise NoStepToRefresh(name, program.name, steps)
    return names


def accept(
    home: Home,
    workflow: Workflow[..., Any],
    program: Program,
    launch: Launch,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    options: dict[str, Any],
    notes: list[str],
    resumed_from: str | None,
) -> Any:
    """Write the run's row; when this returns the run is on the disk."""
    now_ms = home.clock.now_ms()
    here = current()
    run = NewRun(
        id=home.clock.new_id(),
        workflow=options.get("name") or workflow.name,
        program=program_digest(program),
        created_ms=now_ms,
        module=program.module,
        file=program.file,
        params=msgspec.json.encode(_shown(workflow, *arguments)).decode(),
        inputs=launch_to_bytes(launch),
        tags=options["tags"],
        profile=home.settings.profile,
        code=launch.pin.archive.digest if launch.pin else "",
        resumed_from=resumed_from,
        parent_run=here.run or None,
        parent_task=here.task or None,
        notes=msgspec.json.encode(notes).decode(),
    )
    cause = f"continues {resumed_from}" if resumed_from else "started"
    accepted = JournalEntry(now_ms, "run.accepted", "", cause, seal_run(run))
    given = [output.artifact for output in launch.given if output.artifact.inline is None]
    references = [Reference(each.digest, each.codec, each.size_bytes) for each in given]
    home.database.runs.create(run, program_to_bytes(program), [accepted], references)
    return home.database.runs.get(run.id)


def _refuse_while_imported(workflow: Workflow[..., Any]) -> None:
    what = imported_for_worker()
    module = getattr(workflow.function, "__module__", "")
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if what is None and getattr(spec, "_initializing", False):
        what = module  # its workers would import it, come to this line, and start runs without end
    if what is None:
        return
    frame = sys._getframe(1)
    package = str(Path(__file__).parent.parent)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    raise RunWhileImported(what, frame.f_code.co_filename, frame.f_lineno)


def root_of(workflow: Workflow[..., Any]) -> Path:
    """Return the project's folder: the workflow's file says which; a notebook's is the current folder."""
    file = getattr(getattr(workflow.function, "__code__", None), "co_filename", "")
    return project_root(file) if os.path.isfile(file) else Path.cwd()


def settings_for(root: Path, options: dict[str, Any]) -> Settings:
    """Return the settings of a run with these options."""
    return read_settings(
        root,
        profile=options.get("profile"),
        executor=options.get("executor"),
        slots=options.get("slots"),
        home=options.get("home"),
    )


def home_as_started(home: Home, record: RunRecord, launch: Launch) -> Home:
    """Return the same home with the settings of a run: of its profile as that is now, and of its options."""
    root = Path(launch.root) if os.path.isdir(launch.root) else Path.cwd()
    options = {"profile": record.profile or None, "executor": launch.executor or None, "slots": launch.slots}
    settings = settings_for(root, {**options, "home": str(home.settings.home)})
    found = Home(msgspec.structs.replace(settings, database=home.settings.database), home.clock)
    found.database = home.database
    return found


def with_defaults(program: Program, settings: Settings) -> Program:
    """Return the program with the profile's defaults where a step says nothing itself."""
    if not settings.step:
        return program
    chosen = parse_options(dict(settings.step))
    plain = StepOptions()
    names = [
        name
        for name in StepSpec.__struct_fields__
        if hasattr(plain, name) and name not in ("name", "no_retry")
    ]

    def filled(spec: StepSpec) -> StepSpec:
        unset = {name: getattr(chosen, name) for name in names if getattr(spec, name) == getattr(plain, name)}
        return msgspec.structs.replace(spec, **unset)

    return msgspec.structs.replace(program, steps=tuple(map(filled, program.steps)))


def check_limits(program: Program, executor: Any) -> list[str]:
    """Return the warnings of an executor about what steps ask for.

    Raises:
        ImpossibleRequest: it could never be had here.
    """
    notes = []
    for spec in program.steps:
        try:
            _, warning = executor.check(Limits(spec.timeout_ms, spec.memory_bytes, spec.cpu, spec.gpu))
        except ImpossibleRequest as error:
            error.message = f"step {spec.name}: {error.message}"
            raise
        if warning:
            notes.append(f"step {spec.name}: {warning}")
    return notes


def _search_path() -> tuple[str, ...]:
    here = os.getcwd()
    return tuple(dict.fromkeys(os.path.abspath(entry) if entry else here for entry in sys.path))


def _preload(program: Program, settings: Settings) -> tuple[str, ...]:
    modules = [unit.module for unit in program.units] + [spec.module for spec in program.steps]
    return tuple(dict.fromkeys(name for name in [*modules, *settings.preload] if name != "__main__"))


def _pin(home: Home, root: Path, prepared: Prepared) -> CodePin | None:
    files = [unit.file for unit in prepared.program.units if os.path.isfile(unit.file)]
    if not files:
        return None
    used = [*files, *loaded_files(root)]
    return pin_project(
        root, home.blobs, used=used, cache_folder=home.folder("cache"), skipped=home.settings.home
    )


def _shown(workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
    """Return the parameters as short texts for people."""
    return {name: short_text(value) for name, value in bind(workflow.function, args, kwargs).items()}


def short_text(value: object, most: int = 80) -> str:
    """Return a parameter as people see it in a list of runs."""
    if not isinstance(value, (str, int, float, bool, type(None), list, tuple, dict, set)):
        return f"<{type(value).__name__}>"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may fail, and this is for show only
        return f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 1] + "…"

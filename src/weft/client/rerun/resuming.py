"""Continuing a run: an interrupted one under its own id, an ended one by a new run that takes over its results."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import msgspec

from weft.client.home import Home, RunAlive
from weft.client.loading import load_module, workflows_of
from weft.client.rerun.differences import Change
from weft.client.rerun.past import Past, step_paths
from weft.client.rerun.pinned import again_as_it_was, is_in_place, pinned_values, with_its_code
from weft.client.rerun.planning import Planner, StepPlan, changes_of
from weft.client.rerun.pricing import Price, price
from weft.client.run import Run
from weft.client.starting import (
    home_as_started,
    root_of,
    settings_for,
    short_text,
    start,
    with_defaults,
)
from weft.client.tasks import NoSuchTask, load_ref
from weft.driver.reuse import names_task
from weft.errors import UserError
from weft.executors.admission import count_cores
from weft.lang.binding import bind, parameter_names
from weft.lang.compiler import compile_workflow
from weft.lang.parameters import arguments_of, parse_parameters
from weft.lang.workflows import Workflow
from weft.model.jobs import Output
from weft.model.progress import Listener
from weft.model.records import RunRecord
from weft.model.states import RUN_FINAL
from weft.model.values import Ref
from weft.program.nodes import Program
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore
from weft.store.codecs import fingerprint_value
from weft.worker.modules import load_main


class WorkflowGone(UserError):
    """The workflow of a run is no longer where it was."""

    code = "workflow-gone"

    def __init__(self, record: RunRecord) -> None:
        super().__init__(
            f"run {record.id} is of workflow {record.workflow!r} in {record.file}, which is not there now",
            hint="Put the file back, or resume with the code that the run had: --code pinned.",
        )


class NothingToChange(UserError):
    """An interrupted run goes on as it was."""

    code = "interrupted-run"

    def __init__(self, run: str) -> None:
        super().__init__(
            f"run {run} was interrupted: it goes on with its own code and parameters",
            hint=f"Leave out parameters and --from; or end it first with `weft cancel {run}`.",
        )


class Plan(msgspec.Struct):
    """What a resume would do.

    Attributes:
        run, workflow, state: the run that is continued.
        goes_on: it goes on under its id, with its pinned code; else a new run takes over what holds.
        code: ``current`` or ``pinned``.
        changes: what differs from the run that is continued, in words; empty: a question need not be asked.
        notes: what one should know besides.
        steps: what becomes of each step. ``price``: what that will take.
    """

    run: str
    workflow: str
    state: str
    goes_on: bool
    code: str
    changes: list[str]
    notes: list[str]
    steps: list[StepPlan]
    price: Price


def plan(
    home: Home, run: Run[Any], *, code: str = "current", params: Any = (), from_: str | None = None
) -> Plan:
    """Return what ``resume`` would do, without doing it.

    Raises:
        as ``resume`` does, where that can be known beforehand.
    """
    record = run.record
    goes_on = record.state not in RUN_FINAL
    _check_choice(home, record, params, from_)
    old = home.program(record)
    home = home_as_started(home, record, home.launch(record))
    forced = (from_,) if from_ else ()
    if goes_on or code == "pinned":
        return _planned(home, record, old, pinned_values(old, params), forced, "pinned")
    workflow = _workflow_now(run, old)
    given = _given(home, record, workflow, params)
    new = with_defaults(compile_workflow(workflow, (), fingerprint_value).program, home.settings)
    return _planned(home, record, new, given, forced, "current")


def _check_choice(home: Home, record: RunRecord, params: Any, from_: str | None) -> None:
    if record.state not in RUN_FINAL:
        if not home.is_interrupted(record):
            raise RunAlive(record)
        if params or from_:
            raise NothingToChange(record.id)
    if from_ and not _has_task(home, record, from_):
        raise NoSuchTask(record.id, from_)


def plan_reuse(
    home: Home, run: Run[Any], workflow: Workflow[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Plan:
    """Return what a run of ``workflow`` would take over from ``run``, whatever that is of and however it stands."""
    options = workflow.run_options
    home = Home(settings_for(root_of(workflow), {**options, "home": str(home.settings.home)}), home.clock)
    new = with_defaults(compile_workflow(workflow, (), fingerprint_value).program, home.settings)
    refresh = options.get("refresh") or ()
    forced = (refresh,) if isinstance(refresh, str) else tuple(refresh)
    return _planned(
        home, run.record, new, bind(workflow.function, args, kwargs), forced, "current", is_new=True
    )


def _planned(
    home: Home,
    record: RunRecord,
    new: Program,
    given: dict[str, Any],
    forced: tuple[str, ...],
    code: str,
    *,
    is_new: bool = False,
) -> Plan:
    """Return the plan of going on with the program ``new``. ``given``: the parameters that were given anew."""
    goes_on = record.state not in RUN_FINAL and not is_new
    past = Past(
        home.program(record),
        home.database.tasks.counts(record.id),
        home.database.tasks.took(record.id),
        () if record.state == "succeeded" else home.database.journal.entries(record.id),
        succeeded=record.state == "succeeded",
    )
    parameters = _changed_parameters(home, record, past.program, new, given)
    planner = Planner(past, new, parameters, forced, goes_on=goes_on)
    steps = planner.plan_steps()
    notes = []
    if goes_on and not is_in_place(home, home.launch(record)):
        notes.append(
            "the project has changed since, and that does not count here: the run goes on with the code that it "
            f"began with. To use the new code: weft cancel {record.id}, then weft resume {record.id}"
        )
    return Plan(
        run=record.id,
        workflow=record.workflow,
        state=Run(home, record).state,
        goes_on=goes_on,
        code=code,
        changes=changes_of(steps, parameters, planner.changed_helpers, planner.changed_lines),
        notes=notes,
        steps=steps,
        price=price(steps, planner.reads, planner.in_sequence, _slots(home)),
    )


def _slots(home: Home) -> int:
    """Return how many tasks of one core run at a time."""
    settings = home.settings
    cores = settings.slots or settings.cpus or count_cores()
    return 1 if settings.executor == "inline" else max(1, int(cores))


def _changed_parameters(
    home: Home, record: RunRecord, old: Program, new: Program, given: dict[str, Any]
) -> list[Change]:
    shown: dict[str, str] = msgspec.json.decode(record.params)
    before = _stored_parameters(home, record, given)
    changed = [
        Change("parameter", name, shown.get(name, ""), short_text(value))
        for name, value in given.items()
        if name not in before or _digest(before[name]) != _digest(value)
    ]
    known = {parameter.name for parameter in old.parameters} | set(given)
    added = [each for each in new.parameters if each.name not in known]
    return [*changed, *(Change("parameter", each.name, "", each.default or "") for each in added)]


def _digest(value: Any) -> str:
    return ArtifactStore(MemoryBlobStore()).put(value).digest


def resume(
    home: Home,
    run: Run[Any],
    *,
    code: str = "current",
    params: Any = (),
    from_: str | None = None,
    on_event: Listener | None = None,
) -> Run[Any]:
    """Continue a run and return the run that goes on: the same one, or a new one linked to it.

    Args:
        code: ``current``, the project as it is now, or ``pinned``, as it was. An interrupted run always
            goes on with its own code.
        params: other parameters: a dict of values, or texts ``name=value``.
        from_: a task, or a step, to run again in any case.

    Raises:
        RunAlive: somebody drives it. WorkflowGone, NoPinnedCode, NothingToChange: see each.
    """
    record = run.record
    _check_choice(home, record, params, from_)
    if record.state in RUN_FINAL:
        return _continue_ended(home, run, code, params, from_, on_event)
    launch = home.launch(record)
    home = home_as_started(home, record, launch)
    return home.drive(record, with_its_code(home, launch), on_event)


def _workflow_now(run: Run[Any], program: Program) -> Workflow[..., Any]:
    """Return the workflow as it is now: in the file or notebook of the run, or at hand since it was started."""
    record = run.record
    module = _module_now(record, program.name)
    found = {} if module is None else workflows_of(module)
    for workflow in found.values():
        if workflow.name == program.name:
            return workflow
    if run.made_of is None:
        raise WorkflowGone(record)
    return run.made_of


def _module_now(record: RunRecord, name: str) -> ModuleType | None:
    here = sys.modules["__main__"]
    if record.module == "__main__" and _is_main(here, record, name):
        return here
    if not os.path.isfile(record.file):
        return None
    # Stored values name its classes as those of `__main__`, so it must be that again.
    return load_main(record.file, None) if record.module == "__main__" else load_module(record.file)


def _is_main(module: ModuleType, record: RunRecord, name: str) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:  # a notebook: its cells are no files
        return not os.path.isfile(record.file) and hasattr(module, name)
    return os.path.isfile(record.file) and os.path.samefile(file, record.file)


def _continue_ended(
    home: Home, run: Run[Any], code: str, params: Any, from_: str | None, on_event: Listener | None
) -> Run[Any]:
    record = run.record
    refresh = (from_,) if from_ else ()
    if code == "pinned":
        return again_as_it_was(home, record, params, refresh, on_event)
    workflow = _workflow_now(run, home.program(record))
    values = _stored_parameters(home, record, parameter_names(workflow.function.__code__))
    values.update(_given(home, record, workflow, params))
    args, kwargs = arguments_of(workflow.function, values)
    options = _old_options(home, record)
    return start(
        workflow.options(**options, on_event=on_event),
        args,
        kwargs,
        resumed_from=record.id,
        refresh=refresh,
    )


def _old_options(home: Home, record: RunRecord) -> dict[str, Any]:
    options: dict[str, Any] = {"home": str(home.settings.home), "name": record.workflow, "tags": record.tags}
    if record.profile:
        options["profile"] = record.profile
    launch = home.launch(record)
    said = {"cache": launch.cache, "executor": launch.executor, "slots": launch.slots}
    options.update((name, value) for name, value in said.items() if value not in (None, ""))
    return options | {"strict": True} if launch.code.get("strict") else options


def _has_task(home: Home, record: RunRecord, name: str) -> bool:
    """Return whether ``--from`` names a task that the run had, or a step, loop or group of its program."""
    if home.database.tasks.named(record.id, name, limit=1):
        return True
    return any(names_task(name, step) for step in step_paths(home.program(record)))


def _given(home: Home, record: RunRecord, workflow: Workflow[..., Any], params: Any) -> dict[str, Any]:
    """Return the values of the parameters that are given anew, as values or as texts."""
    if isinstance(params, dict):
        return params
    return parse_parameters(workflow.function, params, known=_kept_names(home, record, workflow))


def _kept_names(home: Home, record: RunRecord, workflow: Workflow[..., Any]) -> list[str]:
    """Return the parameters whose values the run has and the workflow still takes."""
    had = {parameter.name for parameter in home.program(record).parameters}
    return [name for name in parameter_names(workflow.function.__code__) if name in had]


def _stored_parameters(home: Home, record: RunRecord, names: Iterable[str]) -> dict[str, Any]:
    """Return the values that the run was started with, for those of ``names`` that are its parameters."""
    wanted = {parameter.name for parameter in home.program(record).parameters} & set(names)
    return {
        name: load_ref(home, _ref(output, name), record.id)
        for output in home.launch(record).given
        for name in output.names
        if name in wanted
    }


def _ref(output: Output, name: str) -> Ref:
    return Ref(output.artifact, 0, () if output.solo else (name,))

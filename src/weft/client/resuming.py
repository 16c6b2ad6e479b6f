"""Continuing a run: an interrupted one under its own id, an ended one by a new run that takes over its results."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from weft.client.home import Home, RunAlive
from weft.client.loading import load_module, workflows_of
from weft.client.pinned import again_as_it_was, with_its_code
from weft.client.run import NoSuchTask, Run, load_ref
from weft.client.starting import start
from weft.driver.reuse import names_task
from weft.errors import UserError
from weft.lang.binding import parameter_names
from weft.lang.compiler import compile_workflow
from weft.lang.parameters import arguments_of, parse_parameters
from weft.lang.workflows import Workflow
from weft.machine.plan import Plan as TaskPlan
from weft.model.jobs import Output
from weft.model.progress import Listener
from weft.model.records import RunRecord
from weft.model.states import RUN_FINAL
from weft.model.values import Ref
from weft.program.nodes import Call, Program
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


@dataclass
class Plan:
    """What a resume would do. ``changes``: what differs from the run that it continues."""

    run: str
    goes_on: bool
    changes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the plan as lines for people."""
        return [f"continues run {self.run}; different from it:", *(f"  {change}" for change in self.changes)]


def plan(
    home: Home, run: Run[Any], *, code: str = "current", params: Any = (), from_: str | None = None
) -> Plan:
    """Return what ``resume`` would do, without doing it."""
    record = run.record
    if record.state not in RUN_FINAL:
        return Plan(run.id, goes_on=True)
    changes = [f"parameter {text}" for text in _texts(params)]
    if from_:
        changes.append(f"{from_} runs again, and what depends on it")
    if code == "current":
        changes += _code_changes(
            home.program(record),
            compile_workflow(_workflow_now(run, home.program(record)), (), fingerprint_value).program,
        )
    return Plan(run.id, goes_on=False, changes=changes)


def _texts(params: Any) -> list[str]:
    return (
        [f"{key}={value!r}" for key, value in params.items()]
        if isinstance(params, dict)
        else list(params or ())
    )


def _code_changes(old: Program, new: Program) -> list[str]:
    before = {spec.name: spec.fingerprint for spec in old.steps}
    after = {spec.name: spec.fingerprint for spec in new.steps}
    changes = [f"step {name} changed" for name in after if name in before and before[name] != after[name]]
    changes += [f"step {name} is new" for name in after if name not in before]
    if [unit.source for unit in old.units] != [unit.source for unit in new.units]:
        changes.append("the workflow's own text changed")
    return changes


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
    if record.state in RUN_FINAL:
        return _continue_ended(home, run, code, params, from_, on_event)
    if not home.is_interrupted(record):
        raise RunAlive(record)
    if params or from_:
        raise NothingToChange(record.id)
    launch = with_its_code(home, home.launch(record))
    return home.drive(record, launch, on_event)


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
    if from_ and not _has_task(home, record, from_):
        raise NoSuchTask(record.id, from_)
    if code == "pinned":
        return again_as_it_was(home, record, params, refresh, on_event)
    workflow = _workflow_now(run, home.program(record))
    values = _old_parameters(home, record, workflow)
    values.update(
        params if isinstance(params, dict) else parse_parameters(workflow.function, params, known=values)
    )
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
    options = {"home": str(home.settings.home), "name": record.workflow, "tags": record.tags}
    if record.profile:
        options["profile"] = record.profile
    cache = home.launch(record).cache
    return options if cache is None else {**options, "cache": cache}


def _has_task(home: Home, record: RunRecord, name: str) -> bool:
    """Return whether ``--from`` names a task that the run had, or a step, loop or group of its program."""
    if home.database.tasks.named(record.id, name, limit=1):
        return True
    plan = TaskPlan(home.program(record))
    calls = [number for number, node in plan.nodes.items() if isinstance(node, Call)]
    return any(names_task(name, "/".join(part for part, _ in plan.paths[number])) for number in calls)


def _old_parameters(home: Home, record: RunRecord, workflow: Workflow[..., Any]) -> dict[str, Any]:
    """Return the values that the run was started with, for the parameters that the workflow still has."""
    known = {parameter.name for parameter in home.program(record).parameters}
    values = {}
    for output in home.launch(record).given:
        for name in output.names:
            if name in known:
                values[name] = load_ref(home, _ref(output, name))
    names = parameter_names(workflow.function.__code__)
    return {name: value for name, value in values.items() if name in names}


def _ref(output: Output, name: str) -> Ref:
    return Ref(output.artifact, 0, () if output.solo else (name,))

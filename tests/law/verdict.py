"""Judge one program: do its durable runs end as its plain call? Shared by the tests, the long run and the mutants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from weft.client import prepare
from weft.lang.refusals import CompileErrors

from .compare import Outcome, outcome_difference, outcome_of
from .generator import Source
from .harness import durable
from .loading import module_from

Run = Callable[[Any, tuple[Any, ...], int], Outcome]


@dataclass(frozen=True)
class Verdict:
    """``kind``: ``kept`` (the law), ``broken``, ``refused`` (by the compiler) or ``crashed`` (Weft itself failed)."""

    kind: str
    text: str = ""
    codes: tuple[str, ...] = ()

    @property
    def is_failure(self) -> bool:
        return self.kind in ("broken", "crashed")


@dataclass(frozen=True)
class Way:
    """A way to run a program durably. ``case``: which of its inputs; None: all."""

    name: str
    run: Run
    case: int | None = None

    def cases(self, count: int) -> Iterable[int]:
        return range(count) if self.case is None else [self.case % count]


def run_in_harness(workflow: Any, args: tuple[Any, ...], seed: int) -> Outcome:
    """Run on the compiler, the machine and the evaluator alone, with jobs in the order of ``seed``."""
    found = durable(workflow, args, {}, seed)
    return Outcome(found.value, found.error)


HARNESS = Way("harness", run_in_harness)


@dataclass
class RealRuns:
    """Runs workflows through ``Workflow.run`` on an executor.

    State: ``calls_at_once_max``, how many step calls ran at the same time, as the runs' own records tell;
    ``workers``, how many worker processes ran step calls of one run, at most.
    """

    options: dict[str, Any]
    calls_at_once_max: int = field(default=0, init=False)
    workers: int = field(default=0, init=False)

    def __call__(self, workflow: Any, args: tuple[Any, ...], seed: int) -> Outcome:
        run = workflow.options(**self.options).start(*args)
        run.wait()
        calls = [task for task in run.tasks() if task.kind == "call"]
        assert {task.executor for task in calls} <= {self.options["executor"]}
        self.calls_at_once_max = max(self.calls_at_once_max, calls_at_once(calls))
        self.workers = max(self.workers, len({task.worker for task in calls}))
        return outcome_of(run.result)


def calls_at_once(calls: Iterable[Any]) -> int:
    """Return how many of these tasks ran at the same time, at most. Those below a millisecond do not show."""
    edges = [edge for task in calls for edge in ((task.started_ms, 1), (task.ended_ms, -1))]
    running = most = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most


def judge(source: Source, folder: Path, seed: int, ways: Iterable[Way] = (HARNESS,)) -> Verdict:
    """Compare the plain call with the durable runs."""
    with module_from(source.text, folder) as module, compiled_once():
        for way in ways:
            for case in way.cases(len(module.inputs())):
                verdict = _judge_case(module, way, case, seed)
                if verdict.kind != "kept":
                    return verdict
    return Verdict("kept")


def _judge_case(module: ModuleType, way: Way, case: int, seed: int) -> Verdict:
    where = f"{way.name}, inputs {case}"
    plain = outcome_of(module.main.function, *module.inputs()[case])
    try:
        found = way.run(module.main, module.inputs()[case], seed + case)
    except CompileErrors as error:
        return Verdict("refused", str(error), tuple(one.code for one in error.errors))
    except Exception as error:  # noqa: BLE001 - a crash of Weft is a finding, and the next program goes on
        return Verdict("crashed", f"{where}: {type(error).__name__}: {error}")
    if getattr(found.error, "code", "") == "changes-what-it-iterates":
        return Verdict("refused", f"{where}: {found.error}", ("changes-what-it-iterates",))
    text = outcome_difference(plain, found)
    return Verdict("broken", f"{where}: {text}") if text else Verdict("kept")


@contextmanager
def compiled_once() -> Iterator[None]:
    """Keep what the compiler makes of a workflow: it makes the same each time, and takes most of a run's time."""
    known: dict[Any, Any] = {}

    def compile_once(workflow: Any, shared: Any = (), data_digest: Any = None) -> Any:
        key = (workflow.function, tuple(shared))
        if key not in known:
            known[key] = compile_anew(workflow, shared, data_digest)
        return known[key]

    compile_anew = prepare.compile_workflow
    with mock.patch.object(prepare, "compile_workflow", compile_once):
        yield

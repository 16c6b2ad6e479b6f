"""Judge one program: does its durable run end as its plain call? Shared by the tests, the long run and the mutants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weft.errors import UserError
from weft.lang.refusals import CompileErrors

from .compare import Outcome, outcome_difference, outcome_of
from .generator import Source
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


def run_in_harness(workflow: Any, args: tuple[Any, ...], seed: int) -> Outcome:
    """Run on the compiler, the machine and the evaluator alone, with jobs in the order of ``seed``."""
    from .harness import durable

    found = durable(workflow, args, {}, seed)
    return Outcome(found.value, found.error)


def run_with(**options: Any) -> Run:
    """Return what runs a workflow through ``Workflow.run``, with these options."""

    def run(workflow: Any, args: tuple[Any, ...], seed: int) -> Outcome:
        started = workflow.options(**options).start(*args)
        started.wait()
        return outcome_of(started.result)

    return run


def judge(source: Source, folder: Path, seed: int, run: Run = run_in_harness) -> Verdict:
    """Compare the two calls on each of the program's inputs."""
    with module_from(source.text, folder) as module:
        for case in range(len(module.inputs())):
            plain = outcome_of(module.main.function, *module.inputs()[case])
            try:
                found = run(module.main, module.inputs()[case], seed + case)
            except CompileErrors as error:
                return Verdict("refused", str(error), tuple(one.code for one in error.errors))
            except UserError as error:
                return Verdict("refused", str(error), (error.code,))
            except Exception as error:  # noqa: BLE001 - a crash of Weft is a finding, and the next program goes on
                return Verdict("crashed", f"inputs {case}: {type(error).__name__}: {error}")
            if text := outcome_difference(plain, found):
                return Verdict("broken", f"inputs {case}: {text}")
    return Verdict("kept")

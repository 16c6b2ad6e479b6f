"""``weft test``: a workflow called plainly, run durably, and run again with crashes; what came of it.

All of it happens in a temporary home; steps really run, so what they do outside is really done, several times.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from weft.client.law import plain_outcome
from weft.client.loading import load_workflow
from weft.client.outcomes import Outcome, outcome_difference, outcome_of
from weft.client.starting import root_of, settings_for, start
from weft.lang.parameters import arguments_of, parse_parameters
from weft.lang.workflows import Workflow
from weft.settings import Settings
from weft.testing.chaos import LOSSES_MAX, Dice, TrialHome
from weft.testing.comparing import Finding
from weft.testing.evaluating import Orders, count_lost, read_seen

Progress = Callable[[str, int], None]


class ChaosReport(msgspec.Struct, frozen=True):
    """What the crashes showed.

    Attributes:
        seed: decides which crashes there are where there are too many places for all.
        outcome, difference: how the run ended, and where that differs from the unbroken run; None: nowhere.
        drivers_before, drivers_after: how many drivers died before and after a commit.
        workers: how many died after the work of a step, before their report.
        commits: of the unbroken run. ``share``: of the places at which something may die, how many were chosen.
        is_cut_short: the time was up before all crashes were made.
        steps: steps whose second attempt was watched. ``findings``: what those met, harmless ones too.
        unwatched: by step, what it did that cannot be watched.
    """

    seed: int
    outcome: Outcome
    difference: str | None
    drivers_before: int
    drivers_after: int
    workers: int
    commits: int
    share: float
    is_cut_short: bool
    steps: list[str]
    findings: list[Finding]
    unwatched: dict[str, list[str]]

    @property
    def crashes(self) -> int:
        """How many processes died."""
        return self.drivers_before + self.drivers_after + self.workers


class TrialReport(msgspec.Struct, frozen=True):
    """What ``weft test`` found. ``difference``: between the plain call and the unbroken durable run."""

    workflow: str
    plain: Outcome
    durable: Outcome
    difference: str | None
    chaos: ChaosReport | None = None

    @property
    def is_fine(self) -> bool:
        """Whether all ended the same way and no step met what must not be done twice."""
        if self.difference is not None or self.chaos is None:
            return self.difference is None
        return self.chaos.difference is None and all(found.is_harmless for found in self.chaos.findings)


class Trial(msgspec.Struct, frozen=True):
    """What is tried: a workflow of a file with its parameters, and how hard.

    Attributes:
        crashes: about how many processes die, at most; every step loses one worker in any case.
        time_s: after that no more die. ``tell``: is called with the phase, and how many have died so far.
    """

    target: str
    parameters: Sequence[str]
    chaos: bool = False
    seed: int = 1
    crashes: int = 200
    time_s: float = 300.0
    tell: Progress = lambda phase, died: None


def run_trial(trial: Trial) -> TrialReport:
    """Call, run, and run with crashes.

    Raises:
        CompileErrors: it does not compile. ParameterError: the parameters do not fit.
        PlainCallLost, IncomparableResult: see each.
    """
    workflow = load_workflow(trial.target)
    given = arguments_of(workflow.function, parse_parameters(workflow.function, trial.parameters))
    workflow.program()  # A refusal is said before anything runs.
    with temporary_home() as folder:
        trial.tell("plain call", 0)
        plain = plain_outcome(trial.target, trial.parameters)
        trial.tell("durable run", 0)
        with TrialHome(_settings(workflow, folder / "unbroken"), trial.seed) as unbroken:
            durable = _outcome(workflow, given, unbroken)
            difference = outcome_difference(plain, durable)
            chaos = _chaos(trial, workflow, given, folder, unbroken, durable) if trial.chaos else None
    return TrialReport(workflow.name, plain, durable, difference, chaos)


@contextmanager
def temporary_home() -> Iterator[Path]:
    """Let this process and its children know no other home than a folder that is gone afterwards."""
    before = os.environ.get("WEFT_HOME")
    with tempfile.TemporaryDirectory(prefix="weft-test-", ignore_cleanup_errors=True) as name:
        os.environ["WEFT_HOME"] = str(Path(name, "steps"))
        try:
            yield Path(name).resolve()
        finally:
            if before is None:
                del os.environ["WEFT_HOME"]
            else:
                os.environ["WEFT_HOME"] = before


def _settings(workflow: Workflow[..., Any], folder: Path) -> Settings:
    """Return the project's settings, but for where things lie and where tasks run."""
    found = settings_for(root_of(workflow), {"home": str(folder)})
    return msgspec.structs.replace(
        found, database="", executor="local", slots=1, cache=False, losses_max=LOSSES_MAX
    )


def _outcome(workflow: Workflow[..., Any], given: Any, home: TrialHome) -> Outcome:
    args, kwargs = given
    run = start(workflow, args, kwargs, home=home)
    return outcome_of(run.result)


def _chaos(
    trial: Trial,
    workflow: Workflow[..., Any],
    given: Any,
    folder: Path,
    unbroken: TrialHome,
    expected: Outcome,
) -> ChaosReport:
    notes = folder / "notes"
    notes.mkdir()
    commits = unbroken.runs.commits
    tasks = sum(
        each.count for each in unbroken.database.tasks.counts(unbroken.get_run().id) if each.kind == "call"
    )
    of_drivers, of_workers = _share(trial.crashes / 2, 2 * commits), _share(trial.crashes / 2, tasks)
    until_s = time.monotonic() + trial.time_s
    dice = Dice(
        trial.seed,
        of_drivers,
        until_s,
        lambda: trial.tell("chaos", dice.deaths.total() + count_lost(notes)),
    )
    orders = Orders(str(notes), str(folder), of_workers, trial.seed, until_s)
    with TrialHome(_settings(workflow, folder / "chaos"), trial.seed, dice, orders) as home:
        outcome = _outcome(workflow, given, home)
    seen = read_seen(notes)
    unwatched: dict[str, set[str]] = {}
    for each in seen:
        unwatched.setdefault(each.step, set()).update(each.unwatched)
    return ChaosReport(
        trial.seed,
        outcome,
        outcome_difference(expected, outcome),
        dice.deaths["before"],
        dice.deaths["after"],
        count_lost(notes),
        commits,
        min(of_drivers, of_workers),
        dice.is_late,
        list(dict.fromkeys(each.step for each in seen)),
        _once(found for each in seen for found in each.findings),
        {step: sorted(texts) for step, texts in unwatched.items() if texts},
    )


def _share(wanted: float, places: int) -> float:
    return min(1.0, wanted / places) if places else 0.0


def _once(findings: Iterator[Finding]) -> list[Finding]:
    """Return the first finding of each kind at each place of a step: a loop meets the same a thousand times."""
    first: dict[tuple[str, str, str], Finding] = {}
    for found in findings:
        first.setdefault((found.step, found.kind, found.where or found.path), found)
    return sorted(first.values(), key=lambda found: (found.is_harmless, found.step))

"""A home whose drivers die at every transition, each once, and are followed by others until the run has ended."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from weft.client.home import Home
from weft.client.owners import this_owner
from weft.client.run import Run
from weft.driver.launch import Launch
from weft.executors.port import Executor
from weft.model.context import RunContext
from weft.model.progress import Listener
from weft.model.records import Batch, Lease, RunRecord
from weft.model.states import RUN_FINAL
from weft.program.nodes import Program
from weft.settings import Settings
from weft.store.engine import Engine
from weft.store.runs import Runs
from weft.testing.clock import Survivor, VirtualClock
from weft.testing.evaluating import Orders

_EVALUATOR = "weft.testing.evaluating:ChaosEvaluator"
LOSSES_MAX = 1_000_000  # the workers' deaths are ours; they use up nothing of the user's


class DriverDied(BaseException):
    """The driver dies here, as a killed process does: nothing it has not written is left."""


class Dice:
    """Decides at which commits drivers die. State: the commits at which one has died, and how often in all.

    Args:
        share: of the points, between 0 and 1. ``until_s``: by ``time.monotonic``; after that nobody dies.
    """

    def __init__(self, seed: int, share: float, until_s: float, tell: Callable[[], None]) -> None:
        self._seed = seed
        self._share = share
        self._until_s = until_s
        self._tell = tell
        self._seen: set[tuple[str, int]] = set()
        self.deaths: Counter[str] = Counter()

    @property
    def is_late(self) -> bool:
        """Whether the time for crashes is over."""
        return time.monotonic() >= self._until_s

    def throw(self, phase: str, commits: int) -> None:
        """Die ``before`` or ``after`` the commit of this number, once each."""
        point = (phase, commits)
        if point in self._seen or self.is_late:
            return
        self._seen.add(point)
        drawn = hashlib.blake2b(f"{self._seed} {phase} {commits}".encode(), digest_size=8).digest()
        if int.from_bytes(drawn) < self._share * 2**64:
            self.deaths[phase] += 1
            self._tell()
            raise DriverDied


class MortalRuns(Runs):
    """The shipped runs, in whose commits drivers die. ``commits``: how many there were by which the run got further.

    What each driver commits anew, such as that a task runs, is no such place: none would ever get past it.
    """

    def __init__(self, engine: Engine, dice: Dice | None) -> None:
        super().__init__(engine)
        self._dice = dice
        self.commits = 0

    def commit(self, lease: Lease, batch: Batch) -> None:
        """Write a batch, unless the driver dies before that; it may die right after it."""
        is_further = batch.move is not None or any(task.state != "running" for task in batch.tasks)
        dice = self._dice if is_further else None
        number = self.commits
        if dice is not None:
            dice.throw("before", number)
        super().commit(lease, batch)
        self.commits += is_further
        if dice is not None:
            dice.throw("after", number)


class TrialHome(Home):
    """A home for one run, in virtual time: one task at a time, so that what a task leaves can be told from others'.

    Args:
        dice: where drivers die; None: nowhere. ``orders``: for the workers; None: they just work.
    """

    def __init__(
        self, settings: Settings, seed: int, dice: Dice | None = None, orders: Orders | None = None
    ) -> None:
        self.time = VirtualClock(seed)
        super().__init__(settings, self.time)
        self._dice = dice
        self._orders = orders
        self.runs = MortalRuns(self.database.engine, dice)
        self.database.runs = self.runs

    def __enter__(self) -> TrialHome:
        return self

    def __exit__(self, *error: object) -> None:
        self.database.close()

    def make_executor(self) -> Executor:
        """Return the executor that the settings name, in virtual time, for all drivers of the run."""
        return Survivor(super().make_executor(), self.time)

    def context(self, run: str, program: bytes, launch: Launch, before: tuple[str, ...] = ()) -> RunContext:
        """Return what the workers of a run must know: also that steps may start runs, but only in this home."""
        made = super().context(run, program, launch, before)
        environment = {**made.environment, "WEFT_HOME": str(self.settings.home)}
        if self._orders is None:
            return msgspec.structs.replace(made, environment=environment)
        code = {**made.code, "chaos": msgspec.to_builtins(self._orders)}
        return msgspec.structs.replace(made, environment=environment, evaluator=_EVALUATOR, code=code)

    def drive(
        self,
        record: RunRecord,
        launch: Launch,
        listener: Listener | None = None,
        executor: Executor | None = None,
        program: Program | None = None,
    ) -> Run[Any]:
        """Drive a run to its end, by as many drivers as it takes."""
        executor = executor or self.make_executor()
        try:
            while not self._is_driven_to_its_end(record, launch, executor, program):
                pass
        finally:
            executor.close()
        return Run(self, self.database.runs.get(record.id))

    def _is_driven_to_its_end(
        self, record: RunRecord, launch: Launch, executor: Executor, program: Program | None
    ) -> bool:
        found = self.database.runs.get(record.id)
        if found.state in RUN_FINAL:
            return True  # Who ended it died right after that.
        driver = self.claim(found, launch, executor, this_owner(), found.owner, None, program)
        try:
            driver.drive()
        except DriverDied:
            return False
        return True

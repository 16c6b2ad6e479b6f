"""A simulated process: the shipped ``Home`` and ``Driver``, stepped one turn at a time.

It looks for runs that nobody drives, claims one, drives it, and looks again. Errors that the product raises on
purpose end its driver as they would end the thread of a real one; any other error breaks the simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from weft.client.home import Home
from weft.driver.driver import Driver
from weft.model.jobs import Job
from weft.model.records import Owner, RunRecord
from weft.model.states import RUN_FINAL
from weft.settings import Settings
from weft.store.engine import DatabaseBusy, DatabaseUnreachable, Fenced
from weft.store.journal import BrokenJournal
from weft.store.runs import MissingProgram, RunBusy, RunEnded, RunNotFound

from .chaos import HEARTBEAT_MS, LEASE_MS, WEIGHTS, Chaos
from .executor import SimulatedExecutor
from .storage import Connection
from .world import Killed, SkewedClock, World

if TYPE_CHECKING:
    from .simulation import Simulation

LIMITS = {"pool": 1, "wide": 3}
NESTED_MAX = 3
CALM = Chaos()
# What ends a driver without being a fault of it; the run is continued by another claim.
EXPECTED = (Fenced, RunBusy, RunEnded, RunNotFound, DatabaseUnreachable, DatabaseBusy)


class Process:
    """State: ``driver`` and its ``turns`` while it drives, and how many ``steps`` it has taken since its claim;
    ``pauses``, when it did not get to run; ``is_unaware``, whether the server has lost commits since its claim;
    ``is_stopping``, whether its driver was told to stop.
    """

    def __init__(self, simulation: Simulation, number: int, host: int, clock: SkewedClock) -> None:
        self.simulation = simulation
        self.world: World = simulation.world
        self.name = f"p{number}"
        self.clock = clock
        self.owner = Owner(f"host-{host}", number, "simulated", number)
        self.is_alive = True
        self.is_busy = False
        self.driver: Driver | None = None
        self.executor: SimulatedExecutor | None = None
        self.turns: Iterator[float] | None = None
        self.pauses: list[tuple[int, int]] = []
        self.still_since_ms: int | None = None
        self.is_unaware = False
        self.is_stopping = False
        self.steps = 0
        self._alarm = 0
        settings = Settings(
            home=simulation.folder,
            executor="simulated",
            lease_ms=LEASE_MS,
            heartbeat_ms=HEARTBEAT_MS,
            limits=LIMITS,
        )
        self.home = Home(settings, clock)
        self.home.database = simulation.server.connect(self)
        self.connection: Connection = self.home.database.engine  # type: ignore[assignment]
        self.connection.on_commit = lambda: simulation.invariants.committed(self)  # type: ignore[method-assign]

    @property
    def chaos(self) -> Chaos:
        return CALM if self.simulation.is_calm else self.simulation.plan.chaos

    # -- what goes wrong --------------------------------------------------------------------------------

    def point(self, name: str) -> None:
        """Let the process be killed or paused here."""
        weight = WEIGHTS[name]
        chaos = self.chaos
        self.simulation.points[name] += 1
        if self.world.likely(chaos.killed * weight):
            self.simulation.kills[name] += 1
            self.world.say(self.name, f"is killed at {name}")
            self.is_alive = False
            raise Killed
        # With the database's lock in its hands it would stop all others, who would only wait for real.
        # Between looking at a run and claiming it there are few points, and what it saw may be out of date.
        weight *= 1 if self.driver is not None else 4
        if name != "commit" and self.world.likely(chaos.paused * weight):
            self.pause(self.world.chance.random() * chaos.pause_ms, name)

    def is_cut_off(self, name: str) -> bool:
        """Whether the connection to the database breaks here."""
        chaos = self.chaos
        share = chaos.reply_lost if name == "committed" else chaos.cut_off * WEIGHTS[name]
        if self.world.likely(share):
            self.world.say(self.name, f"loses the database at {name}")
            return True
        return False

    def pause(self, ms: float, where: str) -> None:
        """Stand still while the world goes on."""
        if self.simulation.paused >= NESTED_MAX:
            return
        self.simulation.paused += 1
        since_ms = self.world.now_ms
        self.world.say(self.name, f"stands still at {where} for {ms:.0f} ms")
        self.still_since_ms = since_ms
        self.world.run(since_ms + round(ms))
        self.still_since_ms = None
        self.simulation.paused -= 1
        self.pauses.append((since_ms, self.world.now_ms))
        self.world.say(self.name, "goes on")
        # People stop what seems to hang, and it hears that before anything else.
        if self.driver is not None and self.chaos.stopped and self.world.likely(0.7):
            self._stop(self.driver)

    def _wait(self, seconds: float) -> bool:
        """Let simulated time pass where the driver waits for its database; return whether it is to stop."""
        self.pause(1000 * seconds, "a wait")
        return self.is_stopping

    def _stop(self, driver: Driver) -> None:
        self.world.say(self.name, "is told to stop")
        self.is_stopping = True
        driver.stop()

    def paused_ms(self, since_ms: int) -> int:
        """Return for how long it has stood still since then."""
        now = [] if self.still_since_ms is None else [(self.still_since_ms, self.world.now_ms)]
        return sum(max(0, end - max(start, since_ms)) for start, end in [*self.pauses, *now])

    # -- its life ---------------------------------------------------------------------------------------

    def look(self) -> None:
        """Look for a run to drive, and come back later."""
        if not self.is_alive:
            return
        if not self.is_busy and self.driver is None:
            self._guarded(self._look)
        if self.is_alive and not self.simulation.is_over():
            self.world.after(1000 + self.world.chance.random() * 8000, self.look)

    def _look(self) -> None:
        for run in self.simulation.runs:
            if run in self.simulation.invariants.gone:
                continue
            record = self.home.database.runs.get(run)
            if record.state not in RUN_FINAL and self._may_claim(record):
                self._claim(record)
                return

    def _may_claim(self, record: RunRecord) -> bool:
        if record.owner is None or self._is_known_dead(record.owner) or self.home.is_interrupted(record):
            return True
        return self.world.likely(self.chaos.greedy)

    def _is_known_dead(self, owner: Owner) -> bool:
        return owner.host == self.owner.host and not self.simulation.is_alive(owner)

    def _claim(self, record: RunRecord) -> None:
        dead = record.owner if record.owner is not None and self._is_known_dead(record.owner) else None
        plan = self.simulation.plan
        executor = SimulatedExecutor(self, self.simulation.faults_of(record.id), plan.slots)
        launch = self.simulation.launches[record.id]
        driver = self.home.claim(record, launch, executor, self.owner, dead)
        self.world.say(
            self.name, f"claims {record.id} as {driver.lease.fence}, which is {driver.lease.state}"
        )
        self.driver, self.executor, self.turns = driver, executor, driver.turns()
        self.steps = 0
        self.is_stopping = False
        driver.patience.pause = self._wait
        self.point("claimed")
        self._step()

    def wake(self) -> None:
        """There is news for the driver: it takes its next turn soon."""
        self._set_alarm(0)

    def _set_alarm(self, ms: float) -> None:
        self._alarm += 1
        self.world.after(ms, self._ring, self._alarm)

    def _ring(self, number: int) -> None:
        if number == self._alarm and self.is_alive and not self.is_busy and self.turns is not None:
            self._guarded(self._step)

    def _step(self) -> None:
        driver, executor, turns = self.driver, self.executor, self.turns
        assert driver is not None
        assert executor is not None
        assert turns is not None
        if self.world.likely(self.chaos.stopped):
            self._stop(driver)
        if self.world.likely(self.chaos.cancelled):
            self.world.say(self.name, "is told to cancel")
            self.simulation.cancelled.add(driver.lease.run)
            driver.cancel("by its owner")
        since_ms = self.world.now_ms
        try:
            patience_s = next(turns)
        except StopIteration:
            self.simulation.ended(self, driver)
            self._let_go()
            return
        self.steps += 1
        self.simulation.invariants.stepped(self, driver, since_ms)
        self._set_alarm(0 if executor.inbox else self.clock.true_ms(patience_s))

    def _guarded(self, work: Callable[[], None]) -> None:
        self.is_busy = True
        try:
            work()
        except Killed:
            self.die()
        except (MissingProgram, BrokenJournal):
            if not self.simulation.invariants.gone:
                raise  # What is deleted while it is claimed has no program, and no journal.
            self._let_go()
        except EXPECTED as error:
            self.world.say(self.name, f"gives up: {type(error).__name__}")
            if self.driver is not None:
                self.simulation.invariants.gave_up(self, self.driver, error)
            self._let_go()
        finally:
            self.is_busy = False

    def _let_go(self) -> None:
        if self.executor is not None:
            self.executor.close()
        self.driver = self.executor = self.turns = None
        self.is_unaware = False

    def die(self) -> None:
        """End as a killed process does; another one starts on its host some time later."""
        self.connection.close()
        if self.turns is not None:
            self.turns.close()  # type: ignore[attr-defined]
        if self.driver is not None:
            self.driver.parts.slots.close()
        self.world.after(100 + self.world.chance.random() * 20_000, self.simulation.start_process, self)

    # -- what the invariants are told -------------------------------------------------------------------

    def launches(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.world.say(self.name, f"starts {job.task} attempt {job.attempt}")
        self.simulation.invariants.launched(self, jobs)

    def evaluates(self, job: Job) -> None:
        self.world.say(self.name, f"{'works at' if self.is_alive else 'has an orphan work at'} {job.task}")

"""One simulation: the world of one seed, from the acceptance of its runs to their end, and the verdict."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.law.compare import Outcome, outcome_difference, outcome_of
from weft.client.home import Home
from weft.client.run import Run
from weft.client.starting import accept
from weft.driver.driver import Driver
from weft.driver.launch import Launch
from weft.driver.slots import Slots
from weft.errors import WeftError
from weft.model.jobs import Job
from weft.model.records import Owner
from weft.model.states import RUN_FINAL
from weft.settings import Settings
from weft.store.runs import RunBusy, RunNotFound

from .chaos import Plan, plan_of
from .executor import Faults
from .invariants import Invariants
from .process import LIMITS, Process
from .programs import COUNT, Ready, plain, ready
from .storage import Server
from .world import START_MS, Broken, SkewedClock, World

CALM_LASTS_MS = 15 * 60_000
IN_MEMORY = Path("/dev/shm")
Show = Callable[[str], None]


@dataclass(frozen=True)
class Verdict:
    """``text`` says what is broken; empty where nothing is. ``digest``: the same for each replay of the seed."""

    seed: int
    text: str
    digest: str
    points: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)


def scratch_folder() -> str | None:
    """Return where files cost least: in memory where the system has such a place."""
    return str(IN_MEMORY) if IN_MEMORY.is_dir() else None


def simulate(seed: int, show: Show | None = None) -> Verdict:
    """Run the simulation of a seed."""
    plan = plan_of(seed, COUNT)
    with tempfile.TemporaryDirectory(prefix="weft-simulation-", dir=scratch_folder()) as name:
        expected = None
        if plan.final:
            Path(name, "calm").mkdir()
            calm = Simulation(plan.calm(), Path(name, "calm"), show)
            if text := calm.judged(None):
                return Verdict(seed, f"without any trouble: {text}", calm.world.digest())
            expected = calm.found
        Path(name, "chaos").mkdir()
        simulation = Simulation(plan, Path(name, "chaos"), show)
        text = simulation.judged(expected)
        return Verdict(
            seed,
            text,
            simulation.world.digest(),
            simulation.points,
            simulation.kills,
            simulation.counts,
        )


class Simulation:
    """State: the world, the server, the processes; the runs in order, each with its number of a program; what users
    have asked for; ``found``, how each run ended, by its place."""

    def __init__(self, plan: Plan, folder: Path, show: Show | None = None) -> None:
        self.plan = plan
        self.folder = folder
        self.limits = LIMITS
        self.world = World(plan.seed, show)
        self.server = Server(self.world)
        self.server.keeps_states = plan.crashes > 0
        self.points: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.paused = 0
        self.runs: list[str] = []
        self.numbers: dict[str, int] = {}
        self.launches: dict[str, Launch] = {}
        self.origin: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.found: dict[int, Outcome] = {}
        self.lost: set[str] = set()
        self.processes: list[Process] = []
        self.invariants = Invariants(self)
        self._pending = 0
        self._clock = SkewedClock(self.world, 0, 1.0)
        self.user = Home(Settings(home=folder, executor="simulated", limits=LIMITS), self._clock)
        self.user.database = self.server.connect(None)
        self.user.database.engine.on_commit = lambda: self.invariants.committed(None)  # type: ignore[attr-defined]

    # -- from beginning to end --------------------------------------------------------------------------

    def judged(self, expected: dict[int, Outcome] | None) -> str:
        """Run it and return what is broken, or an empty text."""
        try:
            self.run()
            self._check_end(expected)
        except Broken as broken:
            return str(broken)
        except Exception as error:  # noqa: BLE001 - whatever the product raises is a finding
            self.world.say("", f"{type(error).__name__}: {error}")
            return f"{type(error).__name__}: {error}"
        finally:
            self.close()
        return ""

    def run(self) -> None:
        """Accept the runs and let the world go on until all of them have ended and nobody drives any more."""
        for number in self.plan.programs:
            self.accept(number, ready(number, self.plan.retries, self.plan.cached))
        for _ in range(self.plan.processes):
            self.start_process(None)
        self._plan_trouble()
        self.world.run(START_MS + self.plan.lasts_ms + CALM_LASTS_MS, self.is_over)
        if not self.is_over():
            raise Broken(f"runs do not end: {self._standing()}")

    def _standing(self) -> str:
        models = self.invariants.runs
        return ", ".join(f"{run} is {models[run].state}" for run in self.runs)

    def close(self) -> None:
        for process in self.processes:
            if process.driver is not None:
                process.driver.parts.slots.close()
        self.server.close()

    @property
    def is_calm(self) -> bool:
        return self.world.now_ms - START_MS >= self.plan.lasts_ms

    def is_over(self) -> bool:
        """Return whether all runs have ended and nobody has anything left to do."""
        return (
            self._pending == 0
            and all(self.invariants.runs[run].is_final for run in self.runs)
            and all(
                process.driver is None and not process.is_busy
                for process in self.processes
                if process.is_alive
            )
        )

    def accept(self, number: int, given: Ready, resumed_from: str | None = None) -> str:
        """Accept a run as the client does."""
        self._next_given = {output.artifact.digest for output in given.launch.given}
        record = accept(
            self.user,
            given.workflow,
            given.program,
            given.launch,
            (given.args, {}),
            {"tags": {}},
            [],
            resumed_from,
        )
        self.runs.append(record.id)
        self.numbers[record.id] = number
        self.launches[record.id] = given.launch
        if resumed_from:
            self.origin[record.id] = resumed_from
        self.world.say("user", f"starts {given.workflow.name}{given.args} as {record.id}")
        return str(record.id)

    def given(self, run: str) -> set[str]:
        """Return the digests of what a run was started with."""
        if run in self.launches:
            return {output.artifact.digest for output in self.launches[run].given}
        return set(self._next_given)

    def faults_of(self, run: str) -> Faults:
        """Return which attempts of a run's tasks fail; a continued run has luck."""
        share = 0.0 if run in self.origin else self.plan.faulty
        return Faults(self.plan.seed, share, self.plan.final)

    # -- processes --------------------------------------------------------------------------------------

    def start_process(self, before: Process | None) -> None:
        """Start a process, in place of one that died."""
        chance = self.world.chance
        number = len(self.processes) + 1
        if before is None:
            host = number % self.plan.hosts
            offset_ms = chance.randint(-self.plan.skew_ms, self.plan.skew_ms)
            clock = SkewedClock(self.world, offset_ms, 1 + chance.uniform(-self.plan.drift, self.plan.drift))
        else:
            host, clock = int(before.owner.host.rpartition("-")[2]), before.clock
        process = Process(self, number, host, clock)
        self.processes.append(process)
        self.world.say(process.name, f"starts on host {host}")
        self.world.after(chance.random() * 2000, process.look)

    def is_alive(self, owner: Owner) -> bool:
        """Return whether the process of an owner lives."""
        return self.processes[owner.pid - 1].is_alive

    def ended(self, process: Process, driver: Driver) -> None:
        """A driver says how it left its run."""
        run = driver.lease.run
        self.world.say(process.name, f"leaves {run} as {driver.ended}")
        if driver.ended in RUN_FINAL:
            self.invariants.acknowledged[run] = driver.ended
            if self.invariants.runs[run].state != driver.ended and run not in self.invariants.gone:
                raise Broken(f"{process.name} says that run {run} is {driver.ended}, and it is not")
            if self.plan.continued and driver.ended != "succeeded" and run not in self.origin:
                self._pending += 1
                self.world.after(self.world.chance.random() * 20_000, self._continue, run)

    def _continue(self, run: str) -> None:
        self._pending -= 1
        if run not in self.invariants.gone:
            if self.world.likely(self.plan.damaged):
                self._lose_blob(run)
            number = self.numbers[run]
            self.accept(number, ready(number, self.plan.retries, self.plan.cached), run)

    def may_run(self, job: Job, driver: Driver) -> None:
        """A continued run does not run again what the run before it did with the same code and inputs."""
        origin = self.origin.get(job.run)
        if origin is None or not job.is_call or origin in self.invariants.gone:
            return
        key = driver.out[job.id].command.key
        found = self.server.reader.execute(
            "select path from tasks where run = ? and key = ? and state in ('succeeded', 'reused')",
            (origin, key),
        ).fetchone()
        if found is not None and not self.lost:
            raise Broken(
                f"{job.task} of run {job.run} runs again, and run {origin} has its result as {found[0]}"
            )

    # -- trouble from outside ---------------------------------------------------------------------------

    def _plan_trouble(self) -> None:
        plan = self.plan
        self._at_random(plan.crashes, self._crash)
        self._at_random(plan.cancels, self._cancel)
        self._at_random(plan.deletes, self._delete)
        self._at_random(plan.outages, self._outage)
        self._at_random(plan.clock_sets, self._set_clock)

    def _at_random(self, times: int, action: Callable[[], None]) -> None:
        for _ in range(times):
            self.world.after(self.world.chance.random() ** 3 * self.plan.lasts_ms, action)

    def _crash(self) -> None:
        if self.server.crash():
            for process in self.processes:
                process.is_unaware = process.driver is not None
        self.invariants.after_crash()

    def _outage(self) -> None:
        self.counts["outages"] += 1
        self.server.leave(self.world.chance.random() * self.plan.outage_ms)

    def _cancel(self) -> None:
        run = self.world.chance.choice(self.runs)
        try:
            state = self.user.database.runs.request_cancel(run, "a user")
        except RunNotFound:
            return
        self.world.say("user", f"cancels {run}, which is {state}")
        self.cancelled.add(run)

    def _delete(self) -> None:
        run = self.world.chance.choice(self.runs)
        try:
            self.user.database.runs.delete(run)
        except (RunBusy, RunNotFound) as error:
            self.world.say("user", f"cannot delete {run}: {type(error).__name__}")
        else:
            self.world.say("user", f"deletes {run}")

    def _set_clock(self) -> None:
        process = self.world.chance.choice(self.processes)
        process.clock.offset_ms += self.world.chance.randint(-3_600_000, 3_600_000)
        self.world.say(process.name, f"has its clock set to be {process.clock.offset_ms / 1000:.0f} s off")

    def _lose_blob(self, run: str) -> None:
        """Lose the content of something that an ended run refers to and no other does."""
        references = self.user.database.references
        mine = [found.digest for found in references.of_run(run) if references.runs_of(found.digest) == [run]]
        if mine:
            digest = self.world.chance.choice(mine)
            self.lost.add(digest)
            self.user.blobs.delete(digest)
            self.world.say("disk", f"loses {digest[:12]}")

    # -- the end ----------------------------------------------------------------------------------------

    def _outcome(self, run: str) -> Outcome:
        return outcome_of(Run(self.user, self.user.database.runs.get(run)).result)

    def _check_end(self, expected: dict[int, Outcome] | None) -> None:
        for place, run in enumerate(self.runs):
            if run in self.invariants.gone:
                self._check_gone(run)
                continue
            self._check_record(run)
            self.found[place] = self._outcome(run)
            if self.plan.final and expected is None:
                continue  # How it ends then is what this simulation is to find out.
            known = expected.get(place) if expected is not None and run not in self.origin else None
            self._check_outcome(run, known or plain(self.numbers[run]), self.found[place])
        self._check_slots()
        self.counts.update(
            runs=len(self.runs), changes=self.invariants.checked, processes=len(self.processes)
        )
        self.counts["crashes"] += self.server.crashes

    def _check_gone(self, run: str) -> None:
        for table in ("tasks", "attempts", "journal", "blobs", "run_values"):
            if self.server.reader.execute(f"select 1 from {table} where run = ? limit 1", (run,)).fetchone():
                raise Broken(f"{table} holds rows of run {run}, which was deleted")

    def _check_record(self, run: str) -> None:
        self._check_counts(run)
        left = self.server.reader.execute(
            "select path, state from tasks where run = ? and state in ('running', 'retrying', 'waiting')",
            (run,),
        ).fetchone()
        if left is not None:
            raise Broken(f"run {run} has ended, and its task {left[0]} is {left[1]}")
        try:
            self.user.database.journal.verify(run)
            for reference in self.user.database.references.of_run(run):
                if reference.digest not in self.lost:
                    self.user.blobs.verify(reference.digest)
        except WeftError as error:
            raise Broken(f"{type(error).__name__}: {error.message}") from error

    def _check_outcome(self, run: str, expected: Outcome, found: Outcome) -> None:
        state = self.user.database.runs.get(run).state
        self.counts[state] += 1
        if state == "cancelled":
            if run not in self.cancelled:
                raise Broken(f"run {run} is cancelled, and nobody asked for that")
            return
        difference = outcome_difference(expected, found)
        if difference and not (run in self.cancelled and state == "failed"):
            raise Broken(f"run {run} is {state}: {difference}")

    def _check_counts(self, run: str) -> None:
        counted = "select node, state, count(*) from tasks where run = ? group by node, state"
        kept = Counter({(row[0], row[1]): row[2] for row in self.server.reader.execute(counted, (run,))})
        told = {(count.node, count.state): count.count for count in self.user.database.tasks.counts(run)}
        if kept != told:
            raise Broken(f"the counts of run {run} are {told}, and its tasks are {dict(kept)}")

    def _check_slots(self) -> None:
        slots = Slots(self.folder / "limits", LIMITS)
        for request, (name, capacity) in enumerate(LIMITS.items()):
            slots.ask(request, name, capacity)
        free = slots.grant()
        slots.close()
        if len(free) != len(LIMITS):
            raise Broken("a slot of a limit is still held, and nobody works")

"""What must hold after every commit and at every start of a task, whatever goes wrong.

The invariants keep a model of their own of what is on record, fed by the database's triggers. They use the
shipped code for two things only: the formula of the journal's hashes, and reading outcomes.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weft.driver.driver import CANCEL_CHECK_MS, Driver
from weft.model.jobs import Job, Report
from weft.model.journal import CHAIN_START, JournalEntry, chain
from weft.model.records import report_from_bytes
from weft.model.states import RUN_FINAL, RUN_MOVES, TASK_FINAL
from weft.model.values import Artifact
from weft.program.nodes import Limit
from weft.program.tree import walk
from weft.store.engine import DatabaseBusy, DatabaseUnreachable, Fenced

from .chaos import HEARTBEAT_MS, LEASE_MS
from .world import Broken

if TYPE_CHECKING:
    from .executor import SimulatedExecutor
    from .process import Process
    from .simulation import Simulation

SLACK_MS = 3_000
Instance = tuple[int, tuple[int, ...]]


class RunModel:
    """What is known of one run: its journal's ``head`` and ``count``, its ``holder`` and ``fence`` since ``claimed_ms``, the state of its
    ``tasks``, the digests on record (``known``), and those of them that are referred to (``kept``)."""

    def __init__(self, given: set[str]) -> None:
        self.state = "queued"
        self.fence = 0
        self.holder: Process | None = None
        self.head, self.count = CHAIN_START, 0
        self.tasks: dict[Instance, tuple[str, int]] = {}
        self.known = set(given)
        self.needed: set[str] = set()
        self.kept: set[str] = set()
        self.claimed_ms = 0
        self.cancel_since_ms = 0
        self.launched: set[tuple[int, Instance, int]] = set()

    @property
    def is_final(self) -> bool:
        return self.state in RUN_FINAL


class Invariants:
    """State: a model of each run; ``gone``, deleted runs; ``acknowledged``, ends that somebody was told of."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.runs: dict[str, RunModel] = {}
        self.gone: set[str] = set()
        self.acknowledged: dict[str, str] = {}
        self.checked = 0
        self._limits: dict[str, dict[int, list[tuple[Limit, int]]]] = {}

    # -- commits ----------------------------------------------------------------------------------------

    def committed(self, process: Process | None) -> None:
        """Look at all that a transaction of ``process`` wrote (None: a user)."""
        rows = self.simulation.server.changes()
        heads: dict[str, tuple[str, int]] = {}
        for what, run, *fields, _ in rows:
            self.checked += 1
            if what == "accepted":
                self.runs[run] = RunModel(self.simulation.given(run))
                heads[run] = (fields[0], fields[1])
                continue
            if run in self.gone:
                raise Broken(f"{what} is written for run {run}, which was deleted")
            model = self.runs[run]
            if what == "head":
                heads[run] = (fields[0], fields[1])
            elif what == "deleted":
                self._deleted(run, model, process)
            elif what == "run":
                self._run(run, model, process, *fields)
            else:
                self._of_holder(what, run, model, process, fields)
        self._settled(heads)

    def _settled(self, heads: dict[str, tuple[str, int]]) -> None:
        for run, (head, count) in heads.items():
            if run in self.gone:
                continue
            model = self.runs[run]
            if (model.head, model.count) != (head, count):
                raise Broken(
                    f"run {run} remembers entry {count} as its last, and the last one is {model.count}"
                )
            missing = model.needed - model.kept
            if missing:
                raise Broken(f"run {run} has outcomes whose blobs it does not refer to: {sorted(missing)[0]}")

    def _run(
        self,
        run: str,
        model: RunModel,
        process: Process | None,
        before: str,
        after: str,
        fence_before: int,
        fence: int,
        owner: str | None,
        lease_before_ms: int,
        lease_ms: int,
        cancel_ms: int,
    ) -> None:
        if after != before and after not in RUN_MOVES[before]:
            raise Broken(f"run {run} moves from {before} to {after}")
        if before in RUN_FINAL and process is not None:
            raise Broken(f"{process.name} writes to run {run}, which has ended")
        if cancel_ms and not model.cancel_since_ms:
            model.cancel_since_ms = self.simulation.world.now_ms
        if fence != fence_before:
            self._claimed(run, model, process, owner, fence_before, fence, lease_before_ms)
        elif process is None and (before, after) == ("queued", "cancelled"):
            pass  # Nobody drives it yet.
        elif after != before or lease_ms != lease_before_ms:
            self._must_hold("state or lease", run, model, process)
        model.state, model.fence = after, fence

    def _claimed(
        self,
        run: str,
        model: RunModel,
        process: Process | None,
        owner: str | None,
        fence_before: int,
        fence: int,
        lease_ms: int,
    ) -> None:
        if fence != fence_before + 1:
            raise Broken(f"the fence of run {run} goes from {fence_before} to {fence}")
        now_ms = self.simulation.world.now_ms
        holder = model.holder
        is_leased = owner is not None and lease_ms > now_ms
        # Who has lost the answer to its claim may claim once more what is its own.
        is_own = holder is not None and holder is process and process.driver is None
        if process is not None and is_leased and not is_own and (holder is None or holder.is_alive):
            raise Broken(f"{process.name} claims run {run} with {lease_ms - now_ms} ms of a lease left")
        if process is None and is_leased and not model.is_final:
            raise Broken(f"run {run} is deleted while it is driven")
        if owner is not None and process is not None and holder is not None:
            self._lost(run, holder)
        model.holder = process
        model.claimed_ms = now_ms

    def _lost(self, run: str, holder: Process) -> None:
        """Somebody else has claimed what ``holder`` drives: was that its own fault?"""
        if not holder.is_alive or holder.driver is None or holder.driver.lease.run != run:
            return
        if holder.is_unaware:
            return  # The server forgot heartbeats.
        now_ms = self.simulation.world.now_ms
        still_ms = holder.paused_ms(now_ms - LEASE_MS - HEARTBEAT_MS)
        if still_ms < LEASE_MS - HEARTBEAT_MS - SLACK_MS:
            raise Broken(
                f"the lease of {holder.name} on run {run} ran out, though it stood still for {still_ms} ms only"
            )

    def _must_hold(self, what: str, run: str, model: RunModel, process: Process | None) -> None:
        if model.holder is None or process is not model.holder:
            name = process.name if process else "a user"
            holder = model.holder.name if model.holder else "nobody"
            raise Broken(f"{name} writes {what} of run {run}, which {holder} holds as claim {model.fence}")

    def _deleted(self, run: str, model: RunModel, process: Process | None) -> None:
        if process is not None:
            raise Broken(f"{process.name} deletes run {run}")
        self.gone.add(run)
        model.state = "cancelled"

    def _of_holder(
        self, what: str, run: str, model: RunModel, process: Process | None, fields: list[Any]
    ) -> None:
        if what == "rewritten":
            raise Broken(f"entry {fields[0]} of run {run} is changed")
        if what == "entry":
            self._entry(run, model, *fields[:7])
            if process is None:
                return  # A user accepts, and cancels what is queued.
        self._must_hold(what, run, model, process)
        if what == "task":
            self._task(run, model, *fields[:7])
        elif what == "values" and fields[0]:
            raise Broken(f"the result of run {run} is written twice")
        elif what == "blob":
            self._blob(run, model, fields[0])

    def _entry(
        self,
        run: str,
        model: RunModel,
        seq: int,
        at_ms: int,
        kind: str,
        subject: str,
        cause: str,
        body: bytes,
        hash: str,
    ) -> None:
        if seq != model.count + 1:
            raise Broken(f"entry {seq} of run {run} follows entry {model.count}")
        entry = JournalEntry(at_ms, kind, subject, cause, bytes(body), seq)
        if chain(run, model.head, entry) != hash:
            raise Broken(f"entry {seq} of run {run} does not follow from the one before")
        model.head, model.count = hash, seq

    def _task(
        self,
        run: str,
        model: RunModel,
        node: int,
        idx: bytes,
        before: str | None,
        after: str,
        tried: int,
        attempt: int,
        outcome: bytes,
    ) -> None:
        if before in TASK_FINAL:
            raise Broken(f"node {node} of run {run} was {before} and becomes {after}")
        if before is not None and after in ("waiting", "reused", "skipped"):
            raise Broken(f"node {node} of run {run} has run ({before}) and becomes {after}")
        if attempt < tried:
            raise Broken(f"node {node} of run {run} goes back from attempt {tried} to {attempt}")
        model.tasks[node, _index(idx)] = (after, attempt)
        if outcome:
            for artifact in _artifacts(report_from_bytes(bytes(outcome))):
                model.known.add(artifact.digest)
                if artifact.inline is None:
                    model.needed.add(artifact.digest)

    def _blob(self, run: str, model: RunModel, digest: str) -> None:
        name = digest.partition(":")[2]
        if not (self.simulation.folder / "artifacts" / name[:2] / name).is_file():
            raise Broken(f"run {run} refers to {digest}, which is not there")
        model.kept.add(digest)

    # -- starts, turns, ends ----------------------------------------------------------------------------

    def launched(self, process: Process, jobs: Sequence[Job]) -> None:
        """Look at jobs that a driver hands to its executor."""
        assert process.driver is not None
        driver = process.driver
        model = self.runs[driver.lease.run]
        for job in jobs:
            instance = (job.entries[0].node, tuple(job.entries[0].index))
            launch = (driver.lease.fence, instance, job.attempt)
            if job.is_call and launch in model.launched:
                raise Broken(f"attempt {job.attempt} of {job.task} is started twice under one claim")
            model.launched.add(launch)
            # One that has lost its claim, or commits, cannot know it before its next one, which will be refused.
            if model.holder is process and job.run not in self.gone and not process.is_unaware:
                self._launch_of_holder(driver, model, job, instance)

    def _launch_of_holder(self, driver: Driver, model: RunModel, job: Job, instance: Instance) -> None:
        if job.id not in driver.out:
            raise Broken(f"{job.task} of run {job.run} is started, and nobody wants it any more")
        running = driver.machine.jobs.get(job.id)
        cancelling = driver.machine.cancelling is not None
        if cancelling and job.is_call and running is not None and not running.cleanup:
            raise Broken(f"{job.task} of run {job.run} is started, and the run is being cancelled")
        was_to_end = 0 < model.cancel_since_ms < model.claimed_ms
        if was_to_end and job.is_call and not cancelling:
            raise Broken(f"{job.task} of run {job.run} is started, though its cancel came before the claim")
        if model.is_final:
            raise Broken(f"{job.task} of run {job.run} is started, and the run has ended")
        state, _ = model.tasks.get(instance, ("", 0))
        if state in TASK_FINAL and (job.is_call or len(job.entries) == 1):
            raise Broken(f"{job.task} of run {job.run} is started again, and is on record as {state}")
        if not cancelling:
            unknown = [slot.digest for slot in job.slots if slot.digest not in model.known]
            if unknown:
                raise Broken(
                    f"{job.task} of run {job.run} is started from {unknown[0]}, which is not on record"
                )
        self.simulation.may_run(job, driver)

    def working(self, executor: SimulatedExecutor) -> None:
        """A job begins: are no more at work under a limit than it has slots?"""
        at_work: dict[str, dict[tuple[str, int, tuple[int, ...]], int]] = defaultdict(dict)
        for process in self.simulation.processes:
            if process.is_alive and process.driver is not None and process.executor is not None:
                limits = self._limits_of(process.driver)
                for job in process.executor.running.values():
                    for limit, depth in limits.get(job.entries[0].node, ()) if job.is_call else ():
                        # Whatever is at work in one body has the slots of that body together. Glue that only
                        # collects is put off to the end of its loop, and out of its body.
                        body = (process.name, limit.id, tuple(job.entries[0].index[:depth]))
                        at_work[limit.name][body] = limit.slots
        for name, bodies in at_work.items():
            if sum(bodies.values()) > self.simulation.limits.get(name, 1):
                raise Broken(f"{len(bodies)} bodies are at work under limit {name}")

    def _limits_of(self, driver: Driver) -> dict[int, list[tuple[Limit, int]]]:
        """Return the limits around each node, each with the number of loops around it."""
        found = self._limits.get(driver.lease.run)
        if found is None:
            found = self._limits[driver.lease.run] = defaultdict(list)
            for limit in walk(driver.program.body):
                for node in walk(limit.body) if isinstance(limit, Limit) else ():
                    depth = driver.machine.plan.paths[limit.id][-1][1]
                    found[node.id].append((limit, depth))
        return found

    def stepped(self, process: Process, driver: Driver, since_ms: int) -> None:
        """A driver has taken a turn that began at ``since_ms``."""
        model = self.runs[driver.lease.run]
        if model.holder is not process:
            self._must_notice(process, driver, model)
            return
        if driver.machine.cancelling or driver.machine.finished:
            return
        if process.steps < 3:
            return  # Its first turn only takes up what is on record.
        if model.state == "cancelling":
            raise Broken(f"{process.name} goes on with run {driver.lease.run}, which is being cancelled")
        waited_ms = since_ms - model.cancel_since_ms - process.paused_ms(model.cancel_since_ms)
        if model.cancel_since_ms and waited_ms > 2 * CANCEL_CHECK_MS:
            raise Broken(f"{process.name} does not hear that run {driver.lease.run} is to be cancelled")

    def _must_notice(self, process: Process, driver: Driver, model: RunModel) -> None:
        """Whoever has lost a claim finds out by its next heartbeat, however little it has to write."""
        since_ms = model.claimed_ms
        alone_ms = self.simulation.world.now_ms - since_ms - process.paused_ms(since_ms)
        if alone_ms > HEARTBEAT_MS + SLACK_MS:
            raise Broken(
                f"{process.name} goes on with run {driver.lease.run}, {alone_ms} ms after it lost it"
            )

    def gave_up(self, process: Process, driver: Driver, error: Exception) -> None:
        """A driver leaves its run before the end: was that necessary?"""
        model = self.runs[driver.lease.run]
        is_holder = model.holder is process and not model.is_final and driver.lease.run not in self.gone
        if isinstance(error, Fenced) and is_holder and not process.is_unaware:
            raise Broken(
                f"{process.name} is fenced off run {driver.lease.run}, which it holds: {error.message}"
            )
        if isinstance(error, DatabaseUnreachable | DatabaseBusy) and not process.is_stopping:
            raise Broken(
                f"{process.name} leaves run {driver.lease.run} because the database was away for a moment"
            )

    def after_crash(self) -> None:
        """The server is back: nothing that was acknowledged is gone, and the model begins anew from what is left."""
        reader = self.simulation.server.reader
        rows = reader.execute(
            "select id, state, fence, journal_head, journal_count, cancel_requested_ms from runs"
        )
        found = {row[0]: row[1:] for row in rows.fetchall()}
        for run, model in self.runs.items():
            if run in self.gone:
                continue
            if run not in found:
                raise Broken(f"run {run} was accepted and is lost")
            state, fence, model.head, model.count, cancel_ms = found[run]
            if fence != model.fence:
                raise Broken(f"claim {model.fence} of run {run} is lost")
            if self.acknowledged.get(run, state) != state:
                raise Broken(f"run {run} was said to be {self.acknowledged[run]} and is {state}")
            if model.cancel_since_ms and not cancel_ms:
                raise Broken(f"the request to cancel run {run} is lost")
            model.state = state
            self._reread(run, model)

    def _reread(self, run: str, model: RunModel) -> None:
        reader = self.simulation.server.reader
        model.known, model.needed, model.tasks = self.simulation.given(run), set(), {}
        tasks = "select node, idx, state, attempt, outcome from tasks where run = ?"
        for node, idx, state, attempt, outcome in reader.execute(tasks, (run,)).fetchall():
            self._task(run, model, node, idx, None, state, 0, attempt, outcome)
        blobs = reader.execute("select digest from blobs where run = ?", (run,)).fetchall()
        model.kept = {row[0] for row in blobs}


def _index(raw: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(raw) // 4}I", raw)


def _artifacts(report: Report) -> list[Artifact]:
    found = [output.artifact for output in report.outputs]
    for failure in (report.failure, report.items.failure if report.items else None):
        if failure is not None and failure.exception is not None:
            found.append(failure.exception)
    if report.items is not None:
        found += [artifact for column in report.items.columns for artifact in column]
    return found

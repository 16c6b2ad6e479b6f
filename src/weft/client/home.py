"""A home: one database and one folder of artifacts, and what can be done with the runs in it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from weft.client.owners import is_dead, this_owner
from weft.client.run import Run
from weft.clock import Clock, SystemClock
from weft.driver.driver import Driver, DriverParts
from weft.driver.launch import Launch, launch_from_bytes
from weft.driver.reuse import Reuse
from weft.driver.slots import Slots
from weft.driver.tried import tried_so_far
from weft.errors import StoredDataError, UserError
from weft.executors.port import Executor
from weft.machine.events import Instance
from weft.model.context import RunContext
from weft.model.progress import Listener
from weft.model.records import Lease, Owner, RunRecord, RunState, UnreadableRecord
from weft.model.resources import parse_bytes, parse_ms
from weft.model.states import RUN_FINAL, RUN_MOVES
from weft.program.nodes import Limit, Program
from weft.program.serial import program_from_bytes
from weft.program.tree import walk
from weft.seams import deferred, door
from weft.settings import Settings, read_settings
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.store.database import Database, open_database
from weft.store.runs import RunNotFound
from weft.worker.modules import lend_to_main

if TYPE_CHECKING:
    import shutil
else:
    shutil = deferred("shutil")

_UNENDED: Final = [state for state in RUN_MOVES if state not in RUN_FINAL]


class RunAlive(UserError):
    """A run that is being driven cannot be driven again."""

    code = "run-alive"

    def __init__(self, record: RunRecord) -> None:
        owner = record.owner
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        super().__init__(
            f"run {record.id} is running: {who} drives it",
            hint=f"Watch it with `weft show {record.id}`, or stop it with `weft cancel {record.id}`.",
        )


class Session(msgspec.Struct):
    """A driver at work in a thread of this process. ``error`` is what ended the driver, if something did."""

    driver: Driver
    thread: threading.Thread | None = None
    error: BaseException | None = None
    state: str = "running"

    def work(self) -> None:
        try:
            self.state = self.driver.drive()
        except BaseException as error:  # noqa: BLE001 - carried to whoever waits for the run
            self.error = error
            self.state = "interrupted"
        finally:
            self.driver.parts.executor.close()
        if self.state == "succeeded" and os.path.isdir(self.driver.context.checkpoint_folder):
            # After the end is on record: until then a resume would need them.
            shutil.rmtree(self.driver.context.checkpoint_folder, ignore_errors=True)


class Home:
    """State: the open database and store, and the runs whose projects were entered to read their values."""

    make_clock: Callable[[], Clock] = SystemClock  # where tests put another one

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or self.make_clock()
        self._entered: set[str] = set()

    @cached_property
    def database(self) -> Database:
        """The database, opened at first use."""
        return open_database(self.settings.database_place(), self.clock)

    @cached_property
    def blobs(self) -> FileBlobStore:
        return FileBlobStore(self.folder("artifacts"))

    @cached_property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.blobs)

    def folder(self, name: str) -> Path:
        """Return a folder of this home; made by who writes there."""
        return self.settings.home / name

    # -- runs -------------------------------------------------------------------------------------------

    def get_run(self, id: str = "@") -> Run[Any]:
        """Return a run by its id, a unique beginning of it, or ``@`` for the latest.

        Raises:
            RunNotFound, AmbiguousRun: the message lists the candidates.
        """
        return Run(self, self.database.runs.get(id))

    def list_runs(
        self, workflow: str | None = None, state: str | None = None, limit: int = 20
    ) -> list[Run[Any]]:
        """Return runs, the latest first. ``state``: as ``Run.state``, so also ``interrupted``."""
        # An interrupted run is recorded as what it was when its driver died.
        recorded = [None] if state is None else _UNENDED if state == "interrupted" else [state]
        found = [
            run
            for kind in recorded
            for run in islice(self._runs_in(workflow, kind, state), limit)  # type: ignore[arg-type]
        ]
        return sorted(found, key=lambda run: (run.created_ms, run.id), reverse=True)[:limit]

    def _runs_in(
        self, workflow: str | None, recorded: RunState | None, state: str | None
    ) -> Iterator[Run[Any]]:
        cursor = None
        while True:
            page = self.database.runs.list_runs(workflow=workflow, state=recorded, limit=100, cursor=cursor)
            runs: list[Run[Any]] = [Run(self, record) for record in page.runs]
            yield from (run for run in runs if state is None or run.state == state)
            cursor = page.cursor
            if cursor is None:
                return

    def program(self, record: RunRecord) -> Program:
        """Return a run's program."""
        with self._reading(record.id):
            return program_from_bytes(self.database.runs.program(record.program))

    @contextmanager
    def _reading(self, run: str) -> Iterator[None]:
        """Read a run's record: say what is wrong with it, or that it was deleted meanwhile.

        Raises:
            RunNotFound: it is not there any more.
            StoredDataError: it is damaged.
        """
        try:
            yield
        except StoredDataError:
            with suppress(StoredDataError):
                self.database.runs.get(run)
            raise
        except (TypeError, ValueError) as error:
            # A damaged field may hold a value of any type, which whoever reads it stumbles over.
            raise UnreadableRecord(f"record of run {run}", error) from error

    def launch(self, record: RunRecord) -> Launch:
        """Return how a run was started."""
        return launch_from_bytes(record.inputs, record.id)

    def enter_project(self, run: str) -> bool:
        """Make what a run's project defines known to this process, to read its values; False if it was already."""
        if run in self._entered:
            return False
        self._entered.add(run)
        record = self.database.runs.get(run)
        sys.path += [entry for entry in self.launch(record).sys_path if entry not in sys.path]
        if record.module == "__main__" and os.path.isfile(record.file):
            lend_to_main(record.file)
        return True

    # -- driving ----------------------------------------------------------------------------------------

    def context(self, run: str, program: bytes, launch: Launch, before: tuple[str, ...] = ()) -> RunContext:
        """Return what the workers of a run must know. ``before``: the runs that it continues, the latest first."""
        return RunContext(
            run=run,
            program=program,
            root=launch.root,
            cwd=launch.cwd if os.path.isdir(launch.cwd) else "",
            sys_path=launch.sys_path,
            preload=launch.preload,
            main_file=launch.main_file,
            artifact_folder=str(self.folder("artifacts")),
            log_folder=str(self.folder("logs") / run),
            work_folder=str(self.folder("work") / run),
            checkpoint_folder=str(self.folder("checkpoints") / run),
            python_flags=launch.python_flags,
            code=launch.code,
            # What is to run again in any case begins from its beginning.
            checkpoint_before=tuple(
                str(self.folder("checkpoints") / run) for run in before if not launch.refresh
            ),
            checkpoints_kept=self.settings.checkpoints,
            log_bytes_max=parse_bytes("log_cap", self.settings.log_cap),
        )

    def continued_by(self, record: RunRecord) -> tuple[str, ...]:
        """Return the runs that a run continues, the latest first."""
        found: list[str] = []
        while record.resumed_from is not None and record.resumed_from not in found:
            found.append(record.resumed_from)
            try:
                record = self.database.runs.get(record.resumed_from)
            except RunNotFound:
                break
        return tuple(found)

    def make_executor(self) -> Executor:
        """Return a new executor as the settings say."""
        settings = self.settings
        make: Callable[..., Executor] = door(f"executor.{settings.executor}")
        if settings.executor == "inline":
            return make()
        memory = None if settings.memory is None else parse_bytes("memory", settings.memory)
        return make(
            cpu=settings.slots or settings.cpus,
            memory_bytes=memory,
            gpus=None if settings.gpus is None else tuple(map(str, range(settings.gpus))),
            recycle_jobs=settings.worker_tasks_max,
            recycle_bytes=None
            if settings.worker_memory is None
            else parse_bytes("worker_memory", settings.worker_memory),
            clock=self.clock,
        )

    def drive(
        self,
        record: RunRecord,
        launch: Launch,
        listener: Listener | None = None,
        executor: Executor | None = None,
        program: Program | None = None,
    ) -> Run[Any]:
        """Claim a run and drive it in a thread of this process; returns at once.

        Args:
            program: the run's, where the caller has it at hand; None: it is read.

        Raises:
            RunBusy: somebody else drives it.
        """
        dead = record.owner if record.owner is not None and is_dead(record.owner) else None
        executor = executor or self.make_executor()
        try:
            session = Session(self.claim(record, launch, executor, this_owner(), dead, listener, program))
        except BaseException:
            executor.close()
            raise
        session.thread = threading.Thread(target=session.work, name=f"weft {record.id}", daemon=True)
        session.thread.start()
        return Run(self, record, session)

    def claim(
        self,
        record: RunRecord,
        launch: Launch,
        executor: Executor,
        owner: Owner,
        dead: Owner | None,
        listener: Listener | None = None,
        program: Program | None = None,
    ) -> Driver:
        """Claim a run and return its driver, which has not begun. ``dead``: an owner known to be dead.

        Raises:
            RunBusy: somebody else drives it.
            RunNotFound: it was deleted meanwhile.
        """
        lease = self.database.runs.claim(record.id, owner, self.settings.lease_ms, dead=dead)
        with self._reading(record.id):
            return self._driver(record, launch, executor, lease, listener, program)

    def _driver(
        self,
        record: RunRecord,
        launch: Launch,
        executor: Executor,
        lease: Lease,
        listener: Listener | None,
        program: Program | None,
    ) -> Driver:
        if record.started_ms:
            # What the driver before recorded is about to be used; it must be what that one wrote.
            self.database.journal.verify(record.id)
        raw = self.database.runs.program(record.program)
        program = program or program_from_bytes(raw)
        has_limits = any(isinstance(node, Limit) for node in walk(program.body))
        guard = str(self.folder("limits") / "at-work" / f"{record.id}-{lease.fence}") if has_limits else ""
        recorded = {Instance(task.node, task.index): task for task in self.database.tasks.outcomes(record.id)}
        attempts = self.database.tasks.attempts_of_run(record.id) if recorded else ()
        tried = tried_so_far(recorded, attempts)
        reuse = Reuse(
            self.database.tasks,
            self.store,
            recorded,
            record.resumed_from or "",
            frozenset(launch.refresh),
            launch.cache,
        )
        parts = DriverParts(
            self.database,
            self.store,
            executor,
            self.clock,
            Slots(self.folder("limits"), self.settings.limits, guard),
            reuse,
            self.settings.lease_ms,
            self.settings.heartbeat_ms,
            self.settings.executor,
            listener,
            () if record.started_ms else tuple(msgspec.json.decode(record.notes)),
            tried,
            self.settings.losses_max,
            parse_ms("disk_wait", self.settings.disk_wait),
        )
        context = self.context(record.id, raw, launch, self.continued_by(record))
        return Driver(parts, program, msgspec.structs.replace(context, guard=guard), lease, launch.given)

    # -- continuing, looking after ----------------------------------------------------------------------

    def is_interrupted(self, record: RunRecord) -> bool:
        """Return whether a run has no outcome and nobody drives it."""
        if record.state in RUN_FINAL:
            return False
        if is_dead(record.owner):
            return True
        # By the clock that leases count in: on PostgreSQL it is the server's.
        return record.lease_until_ms < self.database.engine.now_ms()


def open_home(project: Path | None = None) -> Home:
    """Return the home that the settings of ``project`` (the current folder if None) name.

    Raises:
        BadSettings: the settings file is wrong.
    """
    return Home(read_settings(project or Path.cwd()))

"""A home: one database and one folder of artifacts, and what can be done with the runs in it."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final

from weft.client.owners import is_dead, this_owner
from weft.client.run import Run
from weft.clock import Clock, SystemClock
from weft.driver.driver import Driver, DriverParts
from weft.driver.launch import Launch, launch_from_bytes
from weft.driver.reuse import Reuse
from weft.driver.slots import Slots
from weft.errors import UserError
from weft.executors.port import Executor
from weft.machine.events import Instance
from weft.model.context import RunContext
from weft.model.progress import Listener
from weft.model.records import RunRecord, RunState
from weft.model.resources import parse_bytes
from weft.model.states import RUN_FINAL, RUN_MOVES
from weft.program.nodes import Program
from weft.program.serial import program_from_bytes
from weft.seams import door
from weft.settings import Settings, read_settings
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.store.database import Database, open_database
from weft.worker.modules import lend_to_main

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


@dataclass
class Session:
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


class Home:
    """State: the open database and store, and the runs whose projects were entered to read their values."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self._entered: set[str] = set()

    @cached_property
    def database(self) -> Database:
        """The database, opened at first use."""
        self.settings.home.mkdir(parents=True, exist_ok=True) if _is_creatable(self.settings.home) else None
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
        return program_from_bytes(self.database.runs.program(record.program))

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

    def context(self, run: str, program: bytes, launch: Launch) -> RunContext:
        """Return what the workers of a run must know."""
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
            log_bytes_max=parse_bytes("log_cap", self.settings.log_cap),
        )

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
    ) -> Run[Any]:
        """Claim a run and drive it in a thread of this process; returns at once.

        Raises:
            RunBusy: somebody else drives it.
        """
        runs = self.database.runs
        dead = record.owner if record.owner is not None and is_dead(record.owner) else None
        lease = runs.claim(record.id, this_owner(), self.settings.lease_ms, dead=dead)
        raw = runs.program(record.program)
        reuse = Reuse(
            self.database.tasks,
            self.store,
            {Instance(task.node, task.index): task for task in self.database.tasks.outcomes(record.id)},
            record.resumed_from or "",
            frozenset(launch.refresh),
            launch.cache,
        )
        executor = executor or self.make_executor()
        parts = DriverParts(
            self.database,
            self.store,
            executor,
            self.clock,
            Slots(self.folder("limits"), self.settings.limits),
            reuse,
            self.settings.lease_ms,
            self.settings.heartbeat_ms,
            self.settings.executor,
            listener,
            () if record.started_ms else tuple(json.loads(record.notes)),
        )
        driver = Driver(
            parts, program_from_bytes(raw), self.context(record.id, raw, launch), lease, launch.given
        )
        session = Session(driver)
        session.thread = threading.Thread(target=session.work, name=f"weft {record.id}", daemon=True)
        session.thread.start()
        return Run(self, record, session)

    # -- continuing, looking after ----------------------------------------------------------------------

    def is_interrupted(self, record: RunRecord) -> bool:
        """Return whether a run has no outcome and nobody drives it."""
        if record.state in RUN_FINAL:
            return False
        if is_dead(record.owner):
            return True
        return record.lease_until_ms < self.clock.now_ms()


def _is_creatable(folder: Path) -> bool:
    """Return whether a folder is missing and may be made; the database says what is wrong with others."""
    parent = folder
    while not parent.exists():
        parent = parent.parent
    return parent.is_dir() and os.access(parent, os.W_OK)


def open_home(project: Path | None = None) -> Home:
    """Return the home that the settings of ``project`` (the current folder if None) name.

    Raises:
        BadSettings: the settings file is wrong.
    """
    return Home(read_settings(project or Path.cwd()))

"""The database port: one schema and one SQL text, on SQLite or on PostgreSQL.

    db = open_database(home / "weft.db", clock)       # or "postgresql://...", or ":memory:"
    db.runs.create(new_run, program_bytes)            # accepted: on the disk when this returns
    lease = db.runs.claim(run_id, owner, lease_ms)    # the right to write, with a fencing number
    db.runs.commit(lease, batch)                      # rows, journal and run state, in one transaction
    db.tasks.outcomes(run_id)                         # what a resume replays

``Engine`` is what differs between the two databases; ``Runs``, ``Tasks``, ``Journal`` and ``References``
hold the operations and are written once. All are safe to call from several threads of one process.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final

from weft.clock import Clock
from weft.seams import deferred
from weft.store.engine import Engine
from weft.store.journal import Journal
from weft.store.migrate import migrate
from weft.store.references import References
from weft.store.runs import Runs
from weft.store.sqlite import open_sqlite
from weft.store.tasks import Tasks

if TYPE_CHECKING:
    from weft.store import postgres
else:
    postgres = deferred("weft.store.postgres")

_POSTGRES_SCHEMES: Final = ("postgresql://", "postgres://")


class Database:
    """One open database. State: the engine's connection, and nothing else."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.runs = Runs(engine)
        self.tasks = Tasks(engine)
        self.journal = Journal(engine)
        self.references = References(engine)

    def close(self) -> None:
        """Give back the connection; closing twice is allowed."""
        self.engine.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_database(place: str | Path, clock: Clock) -> Database:
    """Return the database at ``place``, created or migrated where it must be.

    Args:
        place: path of a SQLite file, ``":memory:"``, or a PostgreSQL address. An address may name a
            PostgreSQL schema, ``postgresql://host/db?schema=team``; without one it is ``weft``.
        clock: the time of leases on SQLite. On PostgreSQL the server's own clock is used, so that no
            two machines' clocks have to agree.

    Raises:
        UnwritableHome, NetworkHome: the folder cannot hold a database.
        DamagedDatabase, ForeignDatabase, NewerDatabase: the file is not one that can be used.
        DatabaseUnreachable: PostgreSQL does not answer.
    """
    text = str(place)
    engine = postgres.open_postgres(text) if text.startswith(_POSTGRES_SCHEMES) else open_sqlite(text, clock)
    try:
        migrate(engine)
    except BaseException:
        engine.close()
        raise
    return Database(engine)

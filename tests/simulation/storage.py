"""The simulated database server: the shipped SQLite engine on a database in memory, and what goes wrong.

Commits that were not synced are lost when the server crashes: the database then goes back to one of the states since
the last synced commit. Triggers note each change, so that the invariants see all that was written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol

from weft.clock import Clock, FakeClock
from weft.store.database import Database, open_database
from weft.store.engine import DatabaseUnreachable, Row, Statement
from weft.store.sqlite import IN_MEMORY, SqliteEngine

from .world import World, WorldClock

CHANGES = """
create table changes (seq integer primary key, what text, run text, a, b, c, d, e, f, g, h);
create trigger see_run after update on runs begin
    insert into changes (what, run, a, b, c, d, e, f, g, h) values ('run', new.id, old.state, new.state, old.fence,
        new.fence, old.owner, old.lease_until_ms, new.lease_until_ms, new.cancel_requested_ms);
end;
create trigger see_head after update of journal_head, journal_count on runs begin
    insert into changes (what, run, a, b) values ('head', new.id, new.journal_head, new.journal_count);
end;
create trigger see_new_run after insert on runs begin
    insert into changes (what, run, a, b, c) values ('accepted', new.id, new.journal_head, new.journal_count, new.program);
end;
create trigger see_gone_run after delete on runs begin
    insert into changes (what, run) values ('deleted', old.id);
end;
create trigger see_new_task after insert on tasks begin
    insert into changes (what, run, a, b, c, d, e, f, g) values
        ('task', new.run, new.node, new.idx, null, new.state, 0, new.attempt, new.outcome);
end;
create trigger see_task after update on tasks begin
    insert into changes (what, run, a, b, c, d, e, f, g) values
        ('task', new.run, new.node, new.idx, old.state, new.state, old.attempt, new.attempt, new.outcome);
end;
create trigger see_attempt after insert on attempts begin
    insert into changes (what, run, a, b, c) values ('attempt', new.run, new.node, new.idx, new.attempt);
end;
create trigger see_entry after insert on journal begin
    insert into changes (what, run, a, b, c, d, e, f, g) values
        ('entry', new.run, new.seq, new.at_ms, new.kind, new.subject, new.cause, new.body, new.hash);
end;
create trigger see_entry_changed after update on journal begin
    insert into changes (what, run, a) values ('rewritten', new.run, new.seq);
end;
create trigger see_blob after insert on blobs begin
    insert into changes (what, run, a) values ('blob', new.run, new.digest);
end;
create trigger see_value after update on run_values begin
    insert into changes (what, run, a, b) values
        ('values', new.run, old.result is not null or old.failure is not null, new.result);
end;
"""


class Client(Protocol):
    """A simulated process, as far as its connection needs to know it."""

    def point(self, name: str) -> None:
        """Something may go wrong here: the process may be killed or paused."""

    def is_cut_off(self, name: str) -> bool:
        """Whether the connection breaks here."""


class MemoryEngine(SqliteEngine):
    """The shipped engine on a database in memory, which can be put back to an earlier state."""

    def __init__(self, clock: Clock, state: bytes) -> None:
        super().__init__(IN_MEMORY, clock)
        self.reader = self._connection
        self.restore(state)

    def state(self) -> bytes:
        """Return all that is committed."""
        return self.reader.serialize()

    def restore(self, state: bytes) -> None:
        """Go back to a state."""
        self.reader.deserialize(state)


class Server:
    """State: ``back_ms``, until when nobody reaches it; the states to which a crash may lead back; ``seen``, the
    last change that the invariants looked at.

    All simulated connections share one real one. Nobody is stopped inside a transaction for others to go on, so
    that no two of them ever meet, and SQLite opens no files, which was most of the time that a simulation took.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.clock = WorldClock(world)
        self.engine = MemoryEngine(self.clock, _template())
        self.reader = self.engine.reader
        self.keeps_states = False
        self.crashes = 0
        self.back_ms = 0
        self._states: list[bytes] = []
        self._seen = 0

    def connect(self, client: Client | None) -> Database:
        """Return the database as a process sees it; None: nothing goes wrong for this one."""
        return Database(Connection(self, client))

    def changes(self) -> list[Row]:
        """Return what was written since the last time."""
        rows = self.reader.execute(
            "select what, run, a, b, c, d, e, f, g, h, seq from changes where seq > ? order by seq",
            (self._seen,),
        ).fetchall()
        if rows:
            self._seen = rows[-1][-1]
        return rows

    def committed(self, *, full_sync: bool) -> None:
        """Note that a transaction is done."""
        if self.keeps_states:
            if full_sync:
                self._states.clear()
            self._states.append(self.engine.state())

    def crash(self) -> bool:
        """Lose some or all of what was not synced; return whether anything was lost."""
        if not self._states:
            return False
        keep = self.world.chance.randrange(len(self._states))
        lost = len(self._states) - 1 - keep
        self.engine.restore(self._states[keep])
        del self._states[keep + 1 :]
        self._seen = self.reader.execute("select coalesce(max(seq), 0) from changes").fetchone()[0]
        self.crashes += 1
        self.world.say("server", f"crashes and comes back; {lost} commits lost")
        return lost > 0

    def leave(self, ms: float) -> None:
        """Be out of reach for a while: processes cannot connect, though the server lives."""
        self.back_ms = self.world.now_ms + round(ms)
        self.world.say("server", f"is out of reach for {ms:.0f} ms")

    @property
    def is_away(self) -> bool:
        """Whether nobody reaches it now."""
        return self.world.now_ms < self.back_ms

    def close(self) -> None:
        """Close everything."""
        self.engine.close()


class Connection:
    """The ``Engine`` port: the shipped engine, with the points at which things go wrong around it."""

    def __init__(self, server: Server, client: Client | None) -> None:
        self.name = "simulated"
        self.last_write: Any = None
        self._server = server
        self._client = client
        self.engine = server.engine
        self._is_inside = False

    def _point(self, name: str) -> None:
        if self._client is not None:
            self._client.point(name)
            if self._server.is_away:
                raise DatabaseUnreachable("simulated", "out of reach")
            if self._client.is_cut_off(name):
                raise DatabaseUnreachable("simulated", f"cut off at {name}")

    @contextmanager
    def transaction(self, *, full_sync: bool = False, exclusive: bool = False) -> Iterator[None]:
        self._point("transaction")
        self._is_inside = True
        try:
            with self.engine.transaction(full_sync=full_sync, exclusive=exclusive):
                yield
                self._point("commit")
        finally:
            self._is_inside = False
        self._server.committed(full_sync=full_sync)
        self.on_commit()
        self._point("committed")

    def on_commit(self) -> None:
        """Called after each commit, before anything can go wrong; the simulation puts its checks here."""

    def execute(self, statement: Statement, params: Mapping[str, object] = {}) -> list[Row]:
        if not self._is_inside:
            self._point("read")
        return self.engine.execute(statement, params)

    def write(self, statement: Statement, params: Mapping[str, object]) -> int:
        return self.engine.write(statement, params)

    def write_many(self, statement: Statement, rows: Sequence[Sequence[object]]) -> int:
        return self.engine.write_many(statement, rows)

    def run_script(self, script: str) -> None:
        raise NotImplementedError("the template has all migrations")

    def now_ms(self) -> int:
        return self._server.clock.now_ms()

    def schema_version(self) -> int:
        return self.engine.schema_version()

    def record_version(self, number: int) -> None:
        raise NotImplementedError("the template has all migrations")

    def adapt(self, schema: str) -> str:
        return schema

    def check(self) -> None:
        self.engine.check()

    def close(self) -> None:
        """Nothing to close: what was begun is rolled back by whoever ends inside it."""


@cache
def _template() -> bytes:
    """Return the state that each simulation starts from."""
    with open_database(IN_MEMORY, FakeClock()) as database:
        connection = database.engine._connection  # type: ignore[attr-defined]
        connection.executescript(CHANGES)
        return bytes(connection.serialize())

"""A random life of a run and its tasks: what the database allows is what the tables of states say."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.store.builders import LEASE_MS, ME, OTHER, accept, entry, open_at, start, task

from weft.clock import FakeClock
from weft.model.records import Batch, Lease, RunMove, RunState, seal
from weft.model.states import RUN_FINAL, RUN_MOVES, TASK_FINAL, TASK_MOVES, may_move
from weft.store.engine import Fenced, IllegalMove
from weft.store.runs import RunBusy, RunEnded

RUN_STATES = sorted(RUN_MOVES)
TASK_STATES = sorted(TASK_MOVES)


def reachable(before: str) -> set[str]:
    """Return the states that one or more moves lead to: one batch may fold several moves together."""
    found: set[str] = set()
    todo = [before]
    while todo:
        for state in TASK_MOVES[todo.pop()] - found:
            found.add(state)
            todo.append(state)
    return found


@pytest.mark.parametrize(("before", "after"), list(itertools.product(TASK_STATES, TASK_STATES)))
def test_the_sql_moves_a_task_as_the_table_says(before: str, after: str) -> None:
    clock = FakeClock()
    with open_at(":memory:", clock) as database:
        lease = start(database, clock)
        database.runs.commit(lease, Batch(tasks=[task(lease, state=before)]))  # type: ignore[arg-type]
        # Waiting again is no move, and rewriting a row that waits does no harm.
        allowed = after in reachable(before) or before == after == "waiting"
        batch = Batch(tasks=[task(lease, state=after)])  # type: ignore[arg-type]
        if allowed:
            database.runs.commit(lease, batch)
        else:
            with pytest.raises(IllegalMove):
                database.runs.commit(lease, batch)
        assert [each.state for each in database.tasks.outcomes(lease.run)] == [after if allowed else before]


PATHS_TO: dict[str, tuple[RunState, ...]] = {
    "running": (),
    "failing": ("failing",),
    "cancelling": ("cancelling",),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(sorted(PATHS_TO), RUN_STATES)))
def test_the_sql_moves_a_run_as_the_table_says(before: str, after: RunState) -> None:
    clock = FakeClock()
    with open_at(":memory:", clock) as database:
        lease = start(database, clock)
        for state in PATHS_TO[before]:
            database.runs.commit(lease, Batch(move=RunMove(state, 1)))
        batch = Batch(move=RunMove(after, 2))
        allowed = may_move(RUN_MOVES, before, after)
        if allowed:
            database.runs.commit(lease, batch)
        else:
            with pytest.raises(IllegalMove):
                database.runs.commit(lease, batch)
        assert database.runs.get(lease.run).state == (after if allowed else before)


class RunLife(RuleBasedStateMachine):
    """A model of one run beside the real store: two drivers, time that passes, restarts."""

    place = ""
    serial = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.folder = TemporaryDirectory()
        place = self.place or str(Path(self.folder.name) / "weft.db")
        self.database = open_at(place, self.clock)
        self.run = accept(self.database, self.fresh_id())
        self.state = "queued"
        self.fence = 0
        self.owner: str | None = None
        self.lease_until_ms = 0
        self.tasks: dict[int, str] = {}
        self.entries = 1
        self.leases: dict[str, Lease] = {}

    def fresh_id(self) -> str:
        # Runs of one server share a database; the id must differ from example to example.
        return f"0{next(self.serial):08d}"

    def holds(self, who: str) -> bool:
        lease = self.leases.get(who)
        return (
            lease is not None
            and lease.fence == self.fence
            and self.owner == who
            and self.state not in RUN_FINAL
        )

    @rule(who=st.sampled_from(["here", "there"]), knows_dead=st.booleans())
    def claim(self, who: str, knows_dead: bool) -> None:
        owner, other = (ME, OTHER) if who == "here" else (OTHER, ME)
        is_free = self.owner is None or self.lease_until_ms <= self.clock.now_ms()
        is_dead = knows_dead and self.owner == other.host
        try:
            lease = self.database.runs.claim(self.run, owner, LEASE_MS, dead=other if knows_dead else None)
        except RunEnded:
            assert self.state in RUN_FINAL
        except RunBusy:
            assert self.state not in RUN_FINAL
            assert not is_free
            assert not is_dead
        else:
            assert self.state not in RUN_FINAL
            assert is_free or is_dead
            self.fence += 1
            self.state = "running" if self.state == "queued" else self.state
            self.owner, self.lease_until_ms = who, self.clock.now_ms() + LEASE_MS
            self.leases[who] = lease
            self.entries += 1
            assert (lease.fence, lease.state, lease.journal_count) == (self.fence, self.state, self.entries)

    @rule(ms=st.sampled_from([1, LEASE_MS // 2, LEASE_MS]))
    def time_passes(self, ms: int) -> None:
        self.clock.advance(ms)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), state=st.sampled_from(TASK_STATES), numbers=st.sets(st.integers(0, 2), min_size=1))
    def write_tasks(self, data: st.DataObject, state: str, numbers: set[int]) -> None:
        who = data.draw(st.sampled_from(sorted(self.leases)))
        lease = self.leases[who]
        rows = [task(lease, number, state) for number in sorted(numbers)]  # type: ignore[arg-type]
        note = entry("task.ended", body=seal(rows)) if state in TASK_FINAL else entry("task.started")
        moves = [(self.tasks.get(number), state) for number in numbers]
        is_legal = all(
            before is None or after in reachable(before) or before == after == "waiting"
            for before, after in moves
        )
        try:
            self.database.runs.commit(lease, Batch(tasks=rows, entries=[note]))
        except Fenced:
            assert not self.holds(who)
        except IllegalMove:
            assert self.holds(who)
            assert not is_legal
        else:
            assert self.holds(who)
            assert is_legal
            self.tasks.update(dict.fromkeys(numbers, state))
            self.entries += 1

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), state=st.sampled_from(RUN_STATES))
    def move_run(self, data: st.DataObject, state: RunState) -> None:
        who = data.draw(st.sampled_from(sorted(self.leases)))
        try:
            self.database.runs.commit(self.leases[who], Batch(entries=[entry()], move=RunMove(state, 3)))
        except Fenced:
            assert not self.holds(who)
        except IllegalMove:
            assert self.holds(who)
            assert not may_move(RUN_MOVES, self.state, state)
        else:
            assert self.holds(who)
            assert may_move(RUN_MOVES, self.state, state)
            self.state = state
            self.entries += 1
            if state in RUN_FINAL:
                self.owner = None

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.leases)))
        try:
            self.database.runs.heartbeat(self.leases[who], LEASE_MS)
        except Fenced:
            assert not self.holds(who)
        else:
            assert self.holds(who)
            self.lease_until_ms = self.clock.now_ms() + LEASE_MS

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.leases)))
        self.database.runs.release(self.leases[who])
        if self.holds(who):
            self.owner = None

    @rule()
    def restart(self) -> None:
        place = self.database.engine.name if not self.place else self.place
        self.database.close()
        self.database = open_at(place, self.clock)

    @invariant()
    def the_database_agrees_with_the_model(self) -> None:
        run = self.database.runs.get(self.run)
        assert (run.state, run.fence, run.journal_count) == (self.state, self.fence, self.entries)
        assert (run.owner.host if run.owner else None) == self.owner
        assert {each.index[0]: each.state for each in self.database.tasks.outcomes(self.run)} == self.tasks
        assert self.database.journal.verify(self.run) == self.entries

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


def test_a_random_life_on_sqlite() -> None:
    run_state_machine_as_test(RunLife, settings=settings(max_examples=10, stateful_step_count=40))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_random_lives_on_sqlite() -> None:
    run_state_machine_as_test(
        RunLife, settings=settings(max_examples=500, stateful_step_count=50, deadline=None)
    )


def test_a_random_life_on_postgres(postgres_address: str) -> None:
    class RunLifeOnPostgres(RunLife):
        place = postgres_address

    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        RunLifeOnPostgres,
        settings=settings(
            max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=checks
        ),
    )

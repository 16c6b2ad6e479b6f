"""The database port on both engines: runs, leases, tasks, look-ups."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.store.builders import (
    LEASE_MS,
    ME,
    OTHER,
    PROGRAM,
    accept,
    ended,
    entry,
    finish,
    open_at,
    start,
    task,
)

from weft.clock import FakeClock
from weft.digest import digest_bytes
from weft.model.jobs import Items, Output, Report
from weft.model.records import (
    AttemptRecord,
    Batch,
    Lease,
    Reference,
    RunMove,
    failure_to_bytes,
    refs_from_bytes,
    refs_to_bytes,
    report_to_bytes,
)
from weft.model.values import Failure, Ref
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore
from weft.store.database import Database
from weft.store.engine import Fenced, IllegalMove, statements
from weft.store.runs import AmbiguousRun, MissingProgram, RunBusy, RunEnded, RunExists, RunNotFound


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(database_place: str, clock: FakeClock) -> Iterator[Database]:
    with open_at(database_place, clock) as opened:
        yield opened


LATE_WRITES: dict[str, Callable[[Database, Lease], object]] = {
    "a task": lambda database, lease: database.runs.commit(lease, Batch(tasks=[task(lease)])),
    "a task with its entry": lambda database, lease: database.runs.commit(lease, ended(task(lease))),
    "the end": finish,
    "a heartbeat": lambda database, lease: database.runs.heartbeat(lease, LEASE_MS),
}


class TestAccepting:
    def test_an_accepted_run_reads_back_as_it_was_given(self, database: Database) -> None:
        accept(
            database,
            "0run",
            module="m",
            file="f.py",
            params='{"x": 1}',
            inputs=b"\x00in",
            tags={"team": "ä"},
            profile="big",
            code="b3:code",
            resumed_from="0old",
            parent_run="0top",
            parent_task="go[1]",
            notes='["n"]',
        )
        run = database.runs.get("0run")
        assert (run.state, run.owner, run.fence, run.result, run.failure) == ("queued", None, 0, None, None)
        assert (run.module, run.file, run.params, run.inputs) == ("m", "f.py", '{"x": 1}', b"\x00in")
        assert (run.tags, run.profile, run.code, run.notes) == ({"team": "ä"}, "big", "b3:code", '["n"]')
        assert (run.resumed_from, run.parent_run, run.parent_task) == ("0old", "0top", "go[1]")
        assert run.journal_count == 1
        assert database.runs.program(run.program) == PROGRAM

    def test_an_id_is_accepted_once(self, database: Database) -> None:
        accept(database, "0run", params='{"first": 1}')
        with pytest.raises(RunExists):
            accept(database, "0run", params='{"second": 1}')
        assert database.runs.get("0run").params == '{"first": 1}'
        assert database.journal.verify("0run") == 1

    def test_a_missing_program_is_named(self, database: Database) -> None:
        with pytest.raises(MissingProgram, match="b3:none"):
            database.runs.program("b3:none")


class TestLeases:
    def test_a_claim_starts_a_queued_run(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        run = database.runs.get(lease.run)
        assert (run.state, run.owner, run.fence, run.started_ms) == ("running", ME, 1, clock.now_ms())
        assert run.lease_until_ms == clock.now_ms() + LEASE_MS
        assert (lease.journal_head, lease.journal_count) == (run.journal_head, run.journal_count)
        claimed = list(database.journal.entries(lease.run))[-1]
        assert (claimed.kind, claimed.cause) == ("run.claimed", "claim 1 by process 100 on here")

    def test_a_run_has_one_driver_until_its_lease_has_run_out(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        clock.advance(LEASE_MS - 1)
        with pytest.raises(RunBusy, match="process 100 on here") as caught:
            database.runs.claim(lease.run, OTHER, LEASE_MS)
        assert caught.value.owner == ME
        clock.advance(1)
        assert database.runs.claim(lease.run, OTHER, LEASE_MS).fence == 2

    def test_a_dead_owner_need_not_be_waited_for(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        with pytest.raises(RunBusy):
            database.runs.claim(lease.run, OTHER, LEASE_MS, dead=OTHER)
        assert database.runs.claim(lease.run, OTHER, LEASE_MS, dead=ME).fence == 2

    def test_a_heartbeat_keeps_the_run(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        clock.advance(LEASE_MS - 1)
        assert database.runs.heartbeat(lease, LEASE_MS) is False
        clock.advance(LEASE_MS - 1)
        with pytest.raises(RunBusy):
            database.runs.claim(lease.run, OTHER, LEASE_MS)

    def test_a_released_run_can_be_claimed_at_once(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        database.runs.release(lease)
        assert database.runs.get(lease.run).owner is None
        assert database.runs.claim(lease.run, OTHER, LEASE_MS).fence == 2

    @pytest.mark.parametrize("write", sorted(LATE_WRITES))
    def test_a_driver_that_lost_its_lease_changes_nothing(
        self, database: Database, clock: FakeClock, write: str
    ) -> None:
        old = start(database, clock)
        clock.advance(LEASE_MS)
        new = database.runs.claim(old.run, OTHER, LEASE_MS)
        before = database.runs.get(old.run)
        with pytest.raises(
            Fenced, match=r"claim 1 is no longer the current one \(the run is running, claim 2\)"
        ):
            LATE_WRITES[write](database, old)
        database.runs.release(old)
        assert database.runs.get(old.run) == before
        assert database.tasks.find(old.run, 1, (0,)) is None
        database.runs.commit(new, ended(task(new)))
        assert database.journal.verify(old.run) == 4

    def test_a_released_lease_writes_no_more(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        database.runs.release(lease)
        with pytest.raises(Fenced):
            database.runs.commit(lease, ended(task(lease)))
        with pytest.raises(Fenced):
            database.runs.heartbeat(lease, LEASE_MS)

    def test_two_commits_from_one_place_in_the_journal_cannot_both_count(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        twin = type(lease)(lease.run, lease.fence, lease.state, lease.journal_head, lease.journal_count)
        database.runs.commit(lease, ended(task(lease, 0)))
        with pytest.raises(Fenced):
            database.runs.commit(twin, ended(task(twin, 1)))

    def test_a_batch_that_did_arrive_may_be_handed_over_again(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        twin = type(lease)(lease.run, lease.fence, lease.state, lease.journal_head, lease.journal_count)
        database.runs.commit(lease, ended(task(lease)))
        database.runs.commit(twin, ended(task(twin)))
        assert twin == lease
        assert database.journal.verify(lease.run) == 3

    def test_an_ended_run_cannot_be_claimed(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        finish(database, lease)
        with pytest.raises(RunEnded, match="succeeded"):
            database.runs.claim(lease.run, OTHER, LEASE_MS)
        with pytest.raises(RunNotFound):
            database.runs.claim("0none", OTHER, LEASE_MS)


class TestEnding:
    def test_the_end_is_recorded_with_its_result(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        finish(database, lease, result=b"ref")
        run = database.runs.get(lease.run)
        assert (run.state, run.result, run.failure, run.ended_ms, run.owner) == (
            "succeeded",
            b"ref",
            None,
            99,
            None,
        )
        assert database.journal.verify(lease.run) == 3

    def test_a_final_state_never_changes(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        finish(database, lease, "failed", failure=failure_to_bytes(Failure("user", "E", "m")))
        with pytest.raises(Fenced):
            finish(database, lease)
        assert database.runs.get(lease.run).state == "failed"

    def test_a_failing_run_can_still_be_written_and_ends(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        database.runs.commit(lease, Batch(entries=[entry("run.moved")], move=RunMove("failing", 5)))
        assert database.runs.get(lease.run).state == "failing"
        database.runs.commit(lease, ended(task(lease, state="failed")))
        finish(database, lease, "failed")
        assert database.runs.get(lease.run).state == "failed"

    def test_an_illegal_move_writes_nothing_of_its_batch(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        batch = ended(task(lease))
        batch.move = RunMove("cancelled", 5)
        with pytest.raises(IllegalMove, match="'running' and cannot become 'cancelled'"):
            database.runs.commit(lease, batch)
        assert database.tasks.find(lease.run, 1, (0,)) is None
        assert lease.journal_count == 2
        batch.move = None
        database.runs.commit(lease, batch)
        assert database.journal.verify(lease.run) == 3


class TestCancelling:
    def test_a_queued_run_is_cancelled_at_once(self, database: Database, clock: FakeClock) -> None:
        accept(database, "0run")
        assert database.runs.request_cancel("0run", "asked") == "cancelled"
        assert database.runs.get("0run").cancel_cause == "asked"
        last = list(database.journal.entries("0run"))[-1]
        assert (last.kind, last.cause) == ("run.ended", "cancelled while queued: asked")
        assert database.journal.verify("0run") == 2

    def test_the_driver_of_a_running_one_hears_of_it(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        assert database.runs.is_cancel_requested(lease.run) is False
        assert database.runs.request_cancel(lease.run, "asked") == "running"
        assert database.runs.is_cancel_requested(lease.run) is True
        clock.advance(1)
        assert database.runs.request_cancel(lease.run, "asked again") == "running"
        assert database.runs.heartbeat(lease, LEASE_MS) is True
        database.runs.commit(lease, Batch(move=RunMove("cancelling", 6)))
        finish(database, lease, "cancelled")
        assert database.runs.request_cancel(lease.run, "again") == "cancelled"
        assert database.runs.get(lease.run).cancel_cause == "asked"

    def test_a_run_that_is_not_there_cannot_be_cancelled(self, database: Database) -> None:
        with pytest.raises(RunNotFound):
            database.runs.request_cancel("0none", "asked")


class TestTasks:
    def test_a_task_reads_back_as_it_was_given(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        report = Report(3, "ok", started_ms=1, ended_ms=2**41, cpu_ms=4, memory_bytes_max=2**40)
        given = task(
            lease,
            key="b3:key",
            started_ms=1,
            ended_ms=2**41,
            cpu_ms=4,
            memory_bytes=2**40,
            executor="local",
            worker="w1",
            source="0old",
            reason="because",
            inputs=b"\x00\xff",
            outcome=report_to_bytes(report),
        )
        database.runs.commit(lease, ended(given))
        read = database.tasks.find(lease.run, 1, (0,))
        assert read == given
        assert read is not None
        assert read.report() == report
        assert database.tasks.find(lease.run, 1, (1,)) is None

    def test_a_row_is_short_and_says_all(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        put = ArtifactStore(MemoryBlobStore()).put
        small, large = put(7), put("x" * 5000)
        items = Items(("a", "b"), [[small, put(8)], [large, small]])
        report = Report(3, "ok", outputs=[Output(small, ("out",)), Output(large, ("all",))], items=items)
        refs = {"n": Ref(small, 1, ("k", 0)), "all": Ref(large, 2)}
        key = digest_bytes(b"key")
        given = task(lease, key=key, inputs=refs_to_bytes(refs), outcome=report_to_bytes(report))
        database.runs.commit(lease, ended(given))
        read = database.tasks.find(lease.run, 1, (0,))
        assert read == given
        assert read is not None
        assert (read.report(), refs_from_bytes(read.inputs)) == (report, refs)
        assert database.tasks.find_cached(key) == database.tasks.find_in_run(lease.run, key) == read
        said = read.outcome + read.inputs
        assert small.digest.encode() not in said
        assert large.digest.encode() in said
        place = {"run": lease.run, "node": 1, "idx": given.index_bytes}
        (kept,) = database.engine.execute(statements("tasks")["get"], place)
        assert len(kept[7]) == 43

    def test_a_task_moves_on_and_its_first_final_outcome_stays(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        for state in ("waiting", "running", "retrying", "running", "succeeded"):
            database.runs.commit(lease, Batch(tasks=[task(lease, state=state)]))
        with pytest.raises(
            IllegalMove, match=r"task train\[0\] .* is 'succeeded' and cannot become 'failed'"
        ):
            database.runs.commit(lease, Batch(tasks=[task(lease, 1), task(lease, state="failed")]))
        with pytest.raises(IllegalMove):
            database.runs.commit(lease, Batch(tasks=[task(lease, outcome=b"another")]))
        assert [each.state for each in database.tasks.outcomes(lease.run)] == ["succeeded"]

    def test_a_batch_of_another_runs_task_is_refused(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        with pytest.raises(ValueError, match="another run"):
            database.runs.commit(lease, Batch(tasks=[task(lease, run="0other")]))

    def test_tasks_come_in_program_order_also_beyond_a_byte_and_nested(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        indices = [(), (2,), (2, 0), (2, 300), (10,), (256,), (70_000,)]
        rows = [task(lease, index=index) for index in reversed(indices)]
        database.runs.commit(lease, ended(*rows, task(lease, node=0, index=(5,))))
        found = [(each.node, each.index) for each in database.tasks.outcomes(lease.run)]
        assert found == [(0, (5,)), *((1, index) for index in indices)]

    def test_pages_meet_without_gap_or_overlap(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        database.runs.commit(lease, ended(*(task(lease, number) for number in range(10))))
        database.runs.commit(lease, Batch(tasks=[task(lease, 10, "running")]))
        seen, cursor = [], None
        for _ in range(6):
            page = database.tasks.list_tasks(lease.run, limit=4, cursor=cursor)
            seen += [each.index[0] for each in page.tasks]
            cursor = page.cursor
            if cursor is None:
                break
        assert seen == list(range(11))
        running = database.tasks.list_tasks(lease.run, state="running")
        assert [each.index for each in running.tasks] == [(10,)]
        exact = database.tasks.list_tasks(lease.run, limit=11)
        assert (len(exact.tasks), exact.cursor) == (11, None)

    def test_replay_crosses_its_own_pages(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        database.runs.commit(lease, ended(*(task(lease, number) for number in range(2500))))
        assert [each.index[0] for each in database.tasks.outcomes(lease.run)] == list(range(2500))

    def test_counts_are_by_node_and_state(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        rows = [task(lease, number, started_ms=10, ended_ms=20) for number in range(5)]
        rows += [
            task(lease, 9, "failed", attempt=3, started_ms=5, ended_ms=30),
            task(lease, node=2, kind="glue"),
        ]
        database.runs.commit(lease, ended(*rows))
        found = {
            (each.node, each.kind, each.state): (
                each.count,
                each.attempts,
                each.started_ms_min,
                each.ended_ms_max,
            )
            for each in database.tasks.counts(lease.run)
        }
        assert found == {
            (1, "call", "succeeded"): (5, 5, 10, 20),
            (1, "call", "failed"): (1, 3, 5, 30),
            (2, "glue", "succeeded"): (1, 1, 0, 0),
        }

    def test_counts_follow_a_task_from_running_to_its_end(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)

        def counted() -> dict[str, tuple[int, int, int, int]]:
            found = database.tasks.counts(lease.run)
            return {
                each.state: (each.count, each.attempts, each.started_ms_min, each.ended_ms_max)
                for each in found
            }

        rows = [task(lease, number, "running", started_ms=10 + number) for number in range(3)]
        database.runs.commit(lease, Batch(tasks=[*rows, task(lease, 3, "retrying", attempt=2)]))
        assert counted() == {"running": (3, 3, 10, 0), "retrying": (1, 2, 0, 0)}
        database.runs.commit(lease, ended(task(lease, 2, started_ms=12, ended_ms=20)))
        database.runs.commit(lease, ended(task(lease, 0, started_ms=10, ended_ms=15)))
        database.runs.commit(lease, ended(task(lease, 3, "cancelled", attempt=2)))
        assert counted() == {
            "running": (1, 1, 11, 0),
            "succeeded": (2, 2, 10, 20),
            "cancelled": (1, 2, 0, 0),
        }
        assert [each.index for each in database.tasks.list_tasks(lease.run, state="running").tasks] == [(1,)]

    def test_counts_equal_the_rows_also_after_a_batch_was_refused(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        database.runs.commit(lease, ended(task(lease, 0), task(lease, 1, "failed")))
        with pytest.raises(IllegalMove):
            database.runs.commit(lease, ended(task(lease, 2), task(lease, 1)))
        assert [(each.state, each.count) for each in database.tasks.counts(lease.run)] == [
            ("failed", 1),
            ("succeeded", 1),
        ]

    def test_a_task_is_found_by_its_path(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        database.runs.commit(lease, ended(task(lease, 0), task(lease, 1)))
        assert [each.index for each in database.tasks.named(lease.run, "train[1]")] == [(1,)]
        assert database.tasks.named(lease.run, "train") == []

    def test_failed_attempts_are_kept(self, database: Database, clock: FakeClock) -> None:
        lease = start(database, clock)
        tries = [
            AttemptRecord(lease.run, 1, (0,), number, "failed", 1, 2, "local", "w", "a.log", b"why")
            for number in (1, 2)
        ]
        database.runs.commit(lease, Batch(attempts=tries))
        assert database.tasks.attempts(lease.run, 1, (0,)) == tries
        assert list(database.tasks.attempts_of_run(lease.run)) == tries
        assert database.tasks.attempts(lease.run, 1, (1,)) == []


class TestReuse:
    def test_the_newest_success_with_the_key_is_found(self, database: Database, clock: FakeClock) -> None:
        one, two = start(database, clock), start(database, clock)
        database.runs.commit(one, ended(task(one, key="k", ended_ms=100, outcome=b"old")))
        database.runs.commit(two, ended(task(two, key="k", ended_ms=200, outcome=b"new")))
        found = database.tasks.find_cached("k")
        assert found is not None
        assert found.outcome == b"new"
        assert database.tasks.find_cached("k", not_before_ms=200) == found
        assert database.tasks.find_cached("k", not_before_ms=201) is None
        old = database.tasks.find_in_run(one.run, "k")
        assert old is not None
        assert old.outcome == b"old"

    @pytest.mark.parametrize("state", ["running", "failed", "cancelled", "skipped", "not_run"])
    def test_only_a_success_is_reused(self, database: Database, clock: FakeClock, state: str) -> None:
        lease = start(database, clock)
        database.runs.commit(lease, Batch(tasks=[task(lease, state=state, key="k")]))  # type: ignore[arg-type]
        assert database.tasks.find_cached("k") is None
        assert database.tasks.find_in_run(lease.run, "k") is None

    def test_what_a_run_took_over_can_be_taken_over_from_it_but_is_no_newer_success(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        row = task(lease, state="reused", key="k", source="0old")
        database.runs.commit(lease, ended(row))
        assert database.tasks.find_cached("k") is None
        assert database.tasks.find_in_run(lease.run, "k") == row

    @pytest.mark.parametrize("name", ["cached", "keyed"])
    def test_a_look_up_by_key_uses_the_index_of_keys(self, clock: FakeClock, name: str) -> None:
        with open_at(":memory:", clock) as database:
            sql = statements("tasks")[name]
            plan = sql._replace(qmark="explain query plan " + sql.qmark)
            steps = database.engine.execute(plan, {"key": "k", "run": "0run", "not_before_ms": 0})
            assert any("USING INDEX tasks_by_key (key=?" in str(step[3]) for step in steps)


class TestLookingUp:
    def test_a_unique_prefix_finds_its_run(self, database: Database) -> None:
        for run in ("0abc1", "0abc2", "0b"):
            accept(database, run)
        assert database.runs.get("0b").id == "0b"
        assert database.runs.get("0ABC1").id == "0abc1"
        assert database.runs.get("0abc2").id == "0abc2"

    def test_an_id_that_begins_another_is_found_all_the_same(self, database: Database) -> None:
        for run in ("0ab", "0abc"):
            accept(database, run)
        assert database.runs.get("0ab").id == "0ab"

    def test_an_ambiguous_prefix_lists_the_candidates(self, database: Database) -> None:
        for number in range(7):
            accept(database, f"0abc{number}", workflow="tr")
        with pytest.raises(AmbiguousRun, match=r"0abc6 \(tr, queued\); 0abc5 .*; and more"):
            database.runs.get("0a")

    @pytest.mark.parametrize("name", ["", "0zz", "%", "_", "0a'", "ä", "0a b"])
    def test_what_matches_nothing_is_not_found(self, database: Database, name: str) -> None:
        accept(database, "0abc")
        with pytest.raises(RunNotFound, match="begins with"):
            database.runs.get(name)

    def test_at_is_the_latest_run_that_is_no_child(self, database: Database, clock: FakeClock) -> None:
        with pytest.raises(RunNotFound, match="there is no run yet"):
            database.runs.get("@")
        for run in ("0a", "0b"):
            accept(database, run)
        accept(database, "0c", parent_run="0b", parent_task="t")
        assert database.runs.get("@").id == "0b"
        assert [run.id for run in database.runs.children("0b")] == ["0c"]

    def test_runs_are_listed_newest_first_by_workflow_and_state(self, database: Database) -> None:
        for number in range(6):
            accept(database, f"0{number}", workflow="even" if number % 2 == 0 else "odd")
        database.runs.request_cancel("02", "x")
        database.runs.request_cancel("03", "x")

        def ids(**by: object) -> list[str]:
            return [run.id for run in database.runs.list_runs(**by).runs]  # type: ignore[arg-type]

        assert ids() == ["05", "04", "03", "02", "01", "00"]
        assert ids(workflow="even") == ["04", "02", "00"]
        assert ids(state="cancelled") == ["03", "02"]
        assert ids(workflow="odd", state="queued") == ["05", "01"]
        assert ids(workflow="none") == []

    def test_pages_of_runs_meet(self, database: Database) -> None:
        for number in range(5):
            accept(database, f"0{number}")
        first = database.runs.list_runs(limit=2)
        second = database.runs.list_runs(limit=2, cursor=first.cursor)
        third = database.runs.list_runs(limit=2, cursor=second.cursor)
        assert [run.id for page in (first, second, third) for run in page.runs] == [
            "04",
            "03",
            "02",
            "01",
            "00",
        ]
        assert third.cursor is None
        assert database.runs.list_runs(limit=5).cursor is None

    def test_a_resumed_run_is_linked_to_its_origin(self, database: Database) -> None:
        accept(database, "0a")
        accept(database, "0b", resumed_from="0a")
        assert [run.id for run in database.runs.resumed_as("0a")] == ["0b"]


class TestReferences:
    def test_every_blob_is_named_once_and_with_its_runs(self, database: Database, clock: FakeClock) -> None:
        one, two = start(database, clock), start(database, clock)
        blob, other = Reference("b3:a", "npy", 10), Reference("b3:b", "pickle", 20)
        database.runs.commit(one, Batch(references=[blob, other, blob]))
        database.runs.commit(two, Batch(references=[blob]))
        assert list(database.references.digests()) == ["b3:a", "b3:b"]
        assert list(database.references.of_run(one.run)) == [blob, other]
        assert database.references.runs_of("b3:a") == sorted([one.run, two.run])


class TestDeleting:
    def test_nothing_of_a_deleted_run_is_left(self, database: Database, clock: FakeClock) -> None:
        kept, gone = start(database, clock), start(database, clock, program="b3:other")
        for lease in (kept, gone):
            database.runs.commit(lease, ended(task(lease, key="k")))
            attempt = AttemptRecord(lease.run, 1, (0,), 1, "failed")
            database.runs.commit(
                lease, Batch(attempts=[attempt], references=[Reference("b3:" + lease.run, "c", 1)])
            )
            finish(database, lease)
        database.runs.delete(gone.run)
        with pytest.raises(RunNotFound):
            database.runs.get(gone.run)
        with pytest.raises(MissingProgram):
            database.runs.program("b3:other")
        assert list(database.tasks.outcomes(gone.run)) == database.tasks.counts(gone.run) == []
        assert list(database.tasks.attempts_of_run(gone.run)) == []
        assert list(database.journal.entries(gone.run)) == []
        assert list(database.references.digests()) == ["b3:" + kept.run]
        assert database.journal.verify(kept.run) == 4
        assert database.runs.program("b3:program") == PROGRAM

    def test_a_program_stays_while_another_run_has_it(self, database: Database) -> None:
        for run in ("0a", "0b"):
            accept(database, run)
        database.runs.delete("0a")
        assert database.runs.program("b3:program") == PROGRAM
        database.runs.delete("0b")
        with pytest.raises(MissingProgram):
            database.runs.program("b3:program")

    def test_a_driven_run_cannot_be_deleted_until_its_lease_has_run_out(
        self, database: Database, clock: FakeClock
    ) -> None:
        lease = start(database, clock)
        with pytest.raises(RunBusy):
            database.runs.delete(lease.run)
        clock.advance(LEASE_MS)
        database.runs.delete(lease.run)
        with pytest.raises(Fenced, match="the run was deleted"):
            database.runs.commit(lease, ended(task(lease)))
        with pytest.raises(RunNotFound):
            database.runs.delete(lease.run)

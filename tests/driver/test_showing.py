"""What goes on record of jobs that are on their way: only of those that take long enough to be looked for."""

from __future__ import annotations

import pytest

from weft import step, workflow
from weft.driver.ledger import Ledger
from weft.driver.reuse import Missed
from weft.driver.showing import SHOWN_AFTER_MS, Going, Showing
from weft.lang.compiler import compile_workflow
from weft.machine.events import Instance, RunJob
from weft.machine.plan import Plan
from weft.model.jobs import Entry, Job
from weft.program.nodes import Call


@step
def work():
    return 1


@workflow
def once():
    return work()


PLAN = Plan(compile_workflow(once).program)
CALL = next(node.id for node in PLAN.nodes.values() if isinstance(node, Call))


class Desk:
    """A ``Showing`` with its ledger, and the jobs that are out."""

    def __init__(self) -> None:
        self.out: dict[int, Going] = {}
        self.ledger = Ledger("r", PLAN, "local")
        self.showing = Showing(self.out, self.ledger, 0)

    def send(self, job: int) -> Going:
        made = Job(job, "r", f"work[{job}]", 1, "", [], [Entry(CALL, (), {})])
        self.out[job] = Going(RunJob(made, Instance(CALL)), Missed("unasked"))
        self.showing.sent()
        return self.out[job]

    def start(self, job: int, tick_ms: int) -> None:
        going = self.out[job]
        going.started_ms = tick_ms + 1
        self.showing.started(going, tick_ms)

    def recorded(self) -> list[tuple[str, str]]:
        batch = self.ledger.take(0)
        return [] if batch is None else [(entry.kind, entry.subject) for entry in batch.entries]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_job_goes_on_record_when_it_has_run_for_a_while_and_only_once(desk) -> None:
    desk.send(1)
    desk.start(1, 0)
    desk.showing.look(SHOWN_AFTER_MS - 1)
    assert desk.recorded() == []
    assert desk.showing.due_ms() == SHOWN_AFTER_MS
    desk.showing.look(SHOWN_AFTER_MS)
    assert desk.recorded() == [("task.started", "work[1]")]
    desk.start(1, SHOWN_AFTER_MS)  # again, after its worker was lost by no fault of its own
    desk.showing.look(3 * SHOWN_AFTER_MS)
    assert desk.recorded() == []


def test_a_job_that_ends_soon_leaves_nothing_to_show(desk) -> None:
    desk.send(1)
    desk.start(1, 0)
    del desk.out[1]
    desk.showing.look(1)
    assert desk.showing.due_ms() is None
    desk.showing.look(SHOWN_AFTER_MS)
    assert desk.recorded() == []


def test_a_job_that_nothing_takes_up_is_on_record_as_waiting_once_there_is_no_news(desk) -> None:
    desk.send(1)
    desk.showing.heard(100)
    desk.showing.look(SHOWN_AFTER_MS)
    assert desk.recorded() == []
    desk.showing.look(100 + SHOWN_AFTER_MS)
    assert desk.recorded() == [("task.queued", "work[1]")]
    desk.showing.look(500 + SHOWN_AFTER_MS)
    assert desk.recorded() == []

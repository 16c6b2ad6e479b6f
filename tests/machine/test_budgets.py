"""Which failure is tried again: the user's by the step's ``retries``, the infrastructure's by the profile's budget."""

from __future__ import annotations

import pytest

from tests.machine.driving import Driven, artifact, failure
from weft import step, workflow
from weft.lang.compiler import compile_workflow
from weft.machine.events import Begin, Instance, RunJob, Tried, Wait
from weft.machine.interpreter import Machine
from weft.model.jobs import Output
from weft.model.values import INFRASTRUCTURE
from weft.program.nodes import Call

GIB = 1 << 30


@step(retries=1, backoff="1s")
def work(n):
    return n


@step(memory="2GiB..12GiB")
def hungry(n):
    return n


@workflow
def works(n):
    return work(n)


@workflow
def eats(n):
    return hungry(n)


def driven(flow, tried: Tried | None = None, **options) -> Driven:
    program = compile_workflow(flow).program
    run = Driven(Machine(program, "r", **{"losses_max": 2, "disk_wait_ms": 20_000, **options}))
    call = next(node for node in run.machine.plan.nodes.values() if isinstance(node, Call))
    known = {Instance(call.id): tried} if tried else {}
    run.send(Begin([Output(artifact("n"), ("n",))], known))
    return run


def play(run: Driven, task: str, kinds: str) -> int:
    """Let attempts fail, one kind for each letter, until one is final; return how many there were."""
    names = {"u": "user", "l": "lost", "p": "preempted", "m": "memory", "d": "disk", "t": "timeout"}
    for number, letter in enumerate(kinds, 1):
        run.end(task, failure(f"{letter}{number}", names[letter]))
        if run.finish is not None:
            return number
        run.fire()
    return 0


@pytest.mark.parametrize(
    ("kinds", "final"),
    [
        ("uu", 2),  # one retry
        ("tt", 2),  # a timeout is the step's own
        ("lll", 3),  # two losses are forgiven
        ("ppp", 3),
        ("lpm", 3),  # all losses count together; without a range, so does memory
        ("ullu", 4),  # each by its own budget
        ("lull", 4),
        ("ull", 0),
        ("dddd", 0),  # waiting for space is nobody's failure
        ("dldldl", 6),
    ],
)
def test_each_kind_of_failure_has_its_own_budget(kinds, final):
    assert play(driven(works), "work", kinds) == final


def test_without_a_budget_a_loss_is_final():
    assert play(driven(works, losses_max=0), "work", "l") == 1


def test_a_failure_that_is_not_worth_it_is_final_of_any_kind():
    for kind in INFRASTRUCTURE:
        run = driven(works)
        run.end("work", failure(kind=kind, retryable=False))
        assert run.finish is not None


def test_memory_doubles_up_to_the_most_and_then_the_budget_counts():
    run = driven(eats)
    assert play(run, "hungry", "mmmmmm") == 6
    limits = [command.job.limits.memory_bytes for command in run.all_of(RunJob)]
    assert limits == [2 * GIB, 4 * GIB, 8 * GIB, 12 * GIB, 12 * GIB, 12 * GIB]


def test_more_memory_is_given_at_once_and_a_lost_worker_waits_a_little_longer_each_time():
    run = driven(eats)
    play(run, "hungry", "mll")
    before = 0
    waits = []
    for wait in run.all_of(Wait):
        waits.append(wait.at_ms - before)
        before = wait.at_ms
    assert waits == [0, 200, 400]


def test_the_wait_after_a_loss_is_bounded():
    run = driven(works, losses_max=50)
    assert play(run, "work", "l" * 60) == 51
    waits = [b.at_ms - a.at_ms for a, b in zip(run.all_of(Wait), run.all_of(Wait)[1:], strict=False)]
    assert max(waits) == 5000


def test_space_is_waited_for_no_longer_than_the_profile_says():
    run = driven(works)
    last = play(run, "work", "d" * 50)
    assert last > 3
    assert run.now_ms >= 20_000
    longest = max(b.at_ms - a.at_ms for a, b in zip(run.all_of(Wait), run.all_of(Wait)[1:], strict=False))
    assert longest <= 8_000


@pytest.mark.parametrize(
    ("tried", "kinds", "final"),
    [
        (Tried(attempts=1), "uu", 2),  # what was cut off with its driver is nobody's failure
        (Tried(attempts=2, failed=1), "u", 1),
        (Tried(attempts=3, lost=2), "l", 1),
        (Tried(attempts=3, lost=2), "u", 0),
    ],
)
def test_what_was_used_up_before_the_driver_died_stays_used_up(tried, kinds, final):
    run = driven(works, tried)
    [job] = [command.job for command in run.all_of(RunJob)]
    assert job.attempt == tried.attempts  # the count goes on: logs and records of an attempt are its own
    assert play(run, "work", kinds) == final


def test_memory_that_had_grown_before_the_driver_died_stays_grown():
    run = driven(eats, Tried(attempts=2, memory=2))
    [job] = [command.job for command in run.all_of(RunJob)]
    assert (job.attempt, job.limits.memory_bytes) == (3, 8 * GIB)

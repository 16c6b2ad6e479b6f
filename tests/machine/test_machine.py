"""The machine alone: what it asks for, in which order, and how it ends. No worker, no clock, no store."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from weft import limit, step, workflow
from weft.machine.events import (
    Acquire,
    CancelJobs,
    Done,
    Failing,
    Finish,
    Granted,
    LoopCounted,
    Release,
    RunJob,
    Wait,
)
from weft.machine.loops import LoopRun
from weft.model.jobs import Report

from .driving import Driven, failure


@step
def load(n: Any) -> Any:
    return n


@step
def save(n: Any) -> None:
    return None


@step
def undo(n: Any) -> None:
    return None


@step(retries=3, backoff="2s")
def shaky(n: Any) -> Any:
    return n


@step(retries=9, backoff="10s", task_timeout="30s")
def hurried(n: Any) -> Any:
    return n


@step(retries=60, backoff="10min")
def stubborn(n: Any) -> Any:
    return n


@workflow
def one_shaky(n):
    return shaky(n)


@workflow
def each_of(ns):
    return [shaky(load(n)) for n in ns]


def test_items_of_a_loop_start_in_their_order():
    run = Driven.of(each_of, items=4)
    jobs = [command.job for command in run.seen if isinstance(command, RunJob)]
    assert [job.task for job in jobs if job.is_call] == [f"load[{i}]" for i in range(4)]


@workflow
def one_hurried(n):
    return hurried(n)


@workflow
def one_stubborn(n):
    return stubborn(n)


@workflow
def side_by_side(n):
    a = load(n)
    b = load(n)
    return (a, b)


@workflow
def three(n):
    return (load(n), load(n), load(n))


@workflow
def chain(n):
    return load(load(n))


@workflow
def effects(n):
    a = load(n)
    save(n)
    save(a)
    b = load(n)
    return b


@workflow
def guarded(n):
    a = load(n)
    if a:
        raise ValueError(a)
    return load(n)


@workflow
def cleaned(n):
    try:
        a = load(n)
        b = load(a)
    finally:
        undo(n)
    return b


@workflow
def caught(n):
    try:
        a = load(n)
    except ValueError:
        a = shaky(n)
    return a


@workflow
def spread(n):
    return [load(k) for k in range(n)]


@workflow
def sequence(n):
    for _ in range(n):
        n = load(n)
    return n


@workflow
def limited(n):
    with limit("gpu", slots=2):
        a = load(n)
    return a


@workflow
def half_used(n):
    a = load(n)
    with limit("gpu"):
        b = load(n)
    return (a, b)


@workflow
def taken_twice(n):
    a = load(n)
    if a:
        with limit("gpu"):
            b = load(a)
    else:
        b = 0
    with limit("gpu"):
        c = load(n)
        d = shaky(b)
    return (c, d)


@workflow
def taken_each_turn(n):
    out = []
    for x in range(n):
        with limit("gpu"):
            a = load(x)
            out.append(shaky(a))
    return out


# -- attempts ----------------------------------------------------------------------------------------


def test_failed_attempt_is_tried_again_after_a_wait_that_doubles() -> None:
    run = Driven.of(one_shaky)
    waits = []
    for _ in range(3):
        run.end("shaky", failure())
        waits.append(run.all_of(Wait)[-1].at_ms - run.now_ms)
        run.fire()
    assert waits == [2000, 4000, 8000]
    assert [command.job.attempt for command in run.all_of(RunJob)] == [1, 2, 3, 4]
    assert len({command.job.key for command in run.all_of(RunJob)}) == 1
    run.end("shaky", failure("last"))
    assert run.finish is not None
    assert run.finish.failure == failure("last")


def test_jitter_spreads_a_wait_between_half_and_one_and_a_half() -> None:
    for jitter, wait_ms in ((0.0, 1000), (0.5, 2000), (0.999, 2998)):
        run = Driven.of(one_shaky)
        run.end("shaky", failure(), jitter)
        assert run.all_of(Wait)[0].at_ms == wait_ms


def test_wait_has_an_upper_bound() -> None:
    run = Driven.of(one_stubborn)
    for _ in range(12):
        run.end("stubborn", failure())
        wait = run.all_of(Wait)[-1].at_ms - run.now_ms
        run.fire()
    assert wait == 15 * 60 * 1000


def test_failure_not_worth_a_retry_is_final() -> None:
    for error in (failure(retryable=False), failure(kind="weft")):
        run = Driven.of(one_shaky)
        run.end("shaky", error)
        assert run.finish is not None
        assert run.finish.failure == error
        assert not run.all_of(Wait)


def test_no_attempt_begins_after_the_tasks_time() -> None:
    run = Driven.of(one_hurried)
    run.now_ms = 1_000  # The first attempt began at 1 s; waits of 10 s and 20 s would end past 30 s.
    run.end("hurried", failure())
    run.fire()
    run.end("hurried", failure("too late"))
    assert run.finish is not None
    assert run.finish.failure == failure("too late")


@pytest.mark.parametrize(("ended_ms", "is_over"), [(19_000, False), (29_000, True)])
def test_the_time_of_all_attempts_is_the_drivers_and_not_that_of_workers(ended_ms, is_over):
    run = Driven.of(one_hurried)
    job = run.out.pop("hurried").job
    day_ms = 86_400_000
    report = Report(job.id, "fail", failure=failure(), started_ms=day_ms, ended_ms=3 * day_ms)
    run.send(Done(report, began_ms=1_000, ended_ms=ended_ms))
    assert (run.finish is not None) is is_over


def test_timer_of_a_dropped_task_does_nothing() -> None:
    @workflow
    def two(n):
        return (load(n), shaky(n))

    run = Driven.of(two)
    run.end("shaky", failure())
    run.end("load", failure("first"))
    before = len(run.all_of(RunJob))
    run.fire()
    assert len(run.all_of(RunJob)) == before


def test_report_of_an_unknown_job_is_ignored() -> None:
    run = Driven.of(side_by_side)
    job = run.out["load"]
    run.end("load")
    run.out["load"] = job
    assert run.end("load", failure()) == []


# -- order -------------------------------------------------------------------------------------------


def test_call_starts_when_its_inputs_are_known() -> None:
    run = Driven.of(chain)
    assert run.calls == ["load"]
    run.end("load")
    assert run.calls == ["load.2"]


def test_effects_keep_their_place() -> None:
    run = Driven.of(effects)
    order = []
    while run.finish is None:
        (task,) = run.calls
        order.append(task)
        run.end(task)
    assert order == ["load", "save", "save.2", "load.2"]


def test_guard_holds_what_stands_below() -> None:
    run = Driven.of(guarded)
    assert run.calls == ["load"]
    run = Driven.of(guarded, decisions={guarded_line(): 1})
    run.end("load")
    assert run.calls == ["load.2"]


def guarded_line() -> int:
    return guarded.function.__code__.co_firstlineno + 3


def test_first_failure_in_the_text_counts_not_the_first_in_time() -> None:
    run = Driven.of(side_by_side)
    run.end("load.2", failure("second"))
    assert run.finish is None
    assert run.all_of(Failing)[0].failure == failure("second")
    run.end("load", failure("first"))
    assert run.finish is not None
    assert run.finish.failure == failure("first")


def test_what_stands_above_a_failure_still_ends() -> None:
    run = Driven.of(side_by_side)
    run.end("load.2", failure("second"))
    assert run.calls == ["load"]
    run.end("load")
    assert run.finish is not None
    assert run.finish.failure == failure("second")


def test_what_runs_below_a_failure_is_cancelled() -> None:
    run = Driven.of(side_by_side)
    other = run.out["load.2"].job.id
    run.end("load", failure())
    assert other in {job for command in run.all_of(CancelJobs) for job in command.jobs}
    assert run.calls == []


def test_what_runs_below_a_failure_is_cancelled_while_others_above_go_on() -> None:
    run = Driven.of(three)
    run.end("load.2", failure())
    assert run.calls == ["load"]


# -- loops -------------------------------------------------------------------------------------------


def test_window_bounds_the_open_iterations() -> None:
    run = Driven.of(spread, window=4, items=10)
    assert run.calls == [f"load[{k}]" for k in range(4)]
    run.end("load[2]")
    assert len(run.calls) == 3  # It moves when its first iteration ends.
    run.end("load[0]")
    assert run.calls == ["load[1]", "load[3]", "load[4]"]
    assert run.all_of(LoopCounted)[0].count == 10
    assert run.finish_all().outcome == "ok"


def test_loop_keeps_only_the_items_of_turns_to_come() -> None:
    run = Driven.of(spread, window=2, items=10)
    for turn in range(6):
        run.end(f"load[{turn}]")
    assert run.calls == ["load[6]", "load[7]"]
    assert run.machine.root is not None
    (loop,) = (other for other in run.machine.root.active.values() if isinstance(other, LoopRun))
    assert [len(column) for column in loop.columns] == [2]


def test_what_an_iteration_reads_of_the_one_before_makes_a_sequence() -> None:
    run = Driven.of(sequence, items=3)
    for k in range(3):
        assert run.calls == [f"load[{k}]"]
        run.end(f"load[{k}]")
    assert run.finish is not None


def test_failing_iteration_ends_the_later_ones() -> None:
    run = Driven.of(spread, items=3)
    run.end("load[1]", failure("one"))
    assert run.calls == ["load[0]"]
    run.end("load[0]")
    assert run.finish is not None
    assert run.finish.failure == failure("one")


def test_empty_loop_ends_at_once() -> None:
    run = Driven.of(spread, items=0)
    assert run.finish is not None
    assert run.finish.outcome == "ok"


# -- try and cancel ------------------------------------------------------------------------------------


def test_caught_failure_is_not_the_runs() -> None:
    run = Driven.of(caught)
    run.end("load", failure())
    assert run.calls == ["shaky"]
    assert not run.all_of(Failing)
    assert run.finish_all().outcome == "ok"


def test_cancel_ends_what_runs_and_starts_no_more() -> None:
    run = Driven.of(chain)
    job = run.out["load"].job.id
    run.cancel()
    assert run.all_of(CancelJobs)[-1].jobs == (job,)
    run.out["load"] = RunJob(run.all_of(RunJob)[0].job, run.all_of(RunJob)[0].instance)
    run.end("load", failure("cancelled", "cancelled", False))
    assert run.finish is not None
    assert run.finish.failure is not None
    assert run.finish.failure.kind == "cancelled"
    assert "load.2" not in run.out


def test_finally_runs_after_a_cancel() -> None:
    run = Driven.of(cleaned)
    run.cancel()
    run.out["load"] = run.all_of(RunJob)[0]
    run.end("load", failure("cancelled", "cancelled", False))
    assert run.calls == ["undo"]
    run.end("undo")
    assert run.finish is not None
    assert run.finish.failure is not None
    assert run.finish.failure.kind == "cancelled"


def test_finally_runs_after_a_failure() -> None:
    run = Driven.of(cleaned)
    run.end("load", failure("broken"))
    run.end("undo")
    assert run.finish is not None
    assert run.finish.failure == failure("broken")


def test_cancel_takes_away_a_wait_for_another_attempt() -> None:
    run = Driven.of(one_shaky)
    run.end("shaky", failure())
    run.cancel()
    assert run.finish is not None
    assert run.finish.failure is not None
    assert run.finish.failure.kind == "cancelled"


def test_second_cancel_changes_nothing() -> None:
    run = Driven.of(chain)
    run.cancel()
    before = len(run.seen)
    run.cancel()
    assert len(run.seen) == before


@workflow
def given_up_early(n):
    a = load(n)
    b = load(n)
    with limit("gpu"):
        c = load(a)
    return b, c


# -- limits --------------------------------------------------------------------------------------------


def test_limit_is_asked_for_before_and_given_back_after() -> None:
    run = Driven.of(limited)
    assert run.calls == []
    run.grant()
    assert run.calls == ["load"]
    run.end("load")
    assert run.held() == 0
    assert run.finish is not None


def test_limit_is_given_back_when_its_body_fails() -> None:
    run = Driven.of(limited)
    run.grant()
    run.end("load", failure())
    assert run.held() == 0


def test_request_for_slots_is_taken_back_when_something_above_fails() -> None:
    run = Driven.of(half_used)
    run.end("load", failure())
    assert run.held() == 0
    request = run.all_of(Release)[-1].request
    assert run.send(Granted(request)) == []


def test_slots_are_asked_for_when_all_that_the_body_reads_is_known() -> None:
    run = Driven.of(taken_twice)
    assert run.all_of(Acquire) == []  # The second would hold what the first needs to make `b`.
    run.end("load")
    assert len(run.all_of(Acquire)) == 1
    run.grant()
    run.end("load.2")
    assert len(run.all_of(Acquire)) == 2
    assert run.held() == 1


def test_turns_ask_for_slots_side_by_side_when_none_reads_of_another() -> None:
    run = Driven.of(taken_each_turn, items=3)
    assert len(run.all_of(Acquire)) == 3


def test_cancel_while_a_limit_waits_for_what_its_body_reads_ends_the_run() -> None:
    run = Driven.of(taken_twice)
    run.cancel()
    run.out["load"] = run.all_of(RunJob)[0]
    run.end("load", failure("cancelled", "cancelled", False))
    assert run.finish is not None
    assert run.all_of(Acquire) == []


def test_a_limit_that_is_given_up_while_it_waits_asks_for_nothing() -> None:
    run = Driven.of(given_up_early)
    run.end("load.2", failure())  # What stands below is given up, though `a` is still to come.
    run.end("load")
    assert run.all_of(Acquire) == []


def test_cancel_takes_back_a_request_for_slots() -> None:
    run = Driven.of(limited)
    run.cancel()
    assert run.held() == 0
    assert run.finish is not None


# -- properties ------------------------------------------------------------------------------------------


@workflow
def mixed(n):
    out = []
    for k in range(n):
        a = load(k)
        try:
            out.append(shaky(a))
        finally:
            b = load(a)
        out.append(b)
    with limit("gpu"):
        c = load(out)
    save(c)
    return (c, [load(x) for x in out])


def played(fates: dict[str, bool], picks: list[int]) -> tuple[Finish, list[str]]:
    """Run ``mixed``; tasks that ``fates`` names fail; ``picks`` say which of the calls that are out ends next."""
    run = Driven.of(mixed, window=3, items=3)
    ended = []
    while run.finish is None:
        if not run.calls:
            run.grant()
            continue
        place = picks[len(ended) % len(picks)] if picks else 0
        task = run.calls[place % len(run.calls)]
        ended.append(task)
        run.end(task, failure(task, retryable=False) if fates.get(task) else None)
    return run.finish, ended


TASKS = [f"{name}[{k}]" for name in ("load", "shaky", "load.2", "load.4") for k in range(3)] + [
    "load.3",
    "save",
]


@given(st.sets(st.sampled_from(TASKS)), st.lists(st.integers(0, 9), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])
def test_how_a_run_ends_does_not_depend_on_who_is_first(failing: set[str], picks: list[int]) -> None:
    fates = dict.fromkeys(failing, True)
    in_order, _ = played(fates, [])
    shuffled, _ = played(fates, picks)
    assert in_order.outcome == shuffled.outcome
    assert in_order.failure == shuffled.failure


class AnyEvents(RuleBasedStateMachine):
    """Events in any order, late and double ones too, never break what always holds."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Driven.of(mixed, window=2, items=3)
        self.old: list[RunJob] = []
        self.granted = 0

    @precondition(lambda self: self.run.calls)
    @rule(pick=st.integers(0, 9), ok=st.booleans(), retryable=st.booleans())
    def end_a_call(self, pick: int, ok: bool, retryable: bool) -> None:
        task = self.run.calls[pick % len(self.run.calls)]
        self.old.append(self.run.out[task])
        self.run.end(task, None if ok else failure(task, retryable=retryable))

    @precondition(lambda self: self.old)
    @rule(pick=st.integers(0, 9))
    def tell_it_twice(self, pick: int) -> None:
        again = self.old[pick % len(self.old)]
        now = self.run.out.get(again.job.task)
        if now is None or now.job.id != again.job.id:
            self.run.out["again"] = again
            assert self.run.end("again") == []

    @precondition(lambda self: self.run.all_of(Wait))
    @rule()
    def fire(self) -> None:
        self.run.fire()

    @precondition(lambda self: self.run.held() > self.granted)
    @rule()
    def grant(self) -> None:
        self.granted += 1
        self.run.grant()

    @rule()
    def cancel(self) -> None:
        going = dict(self.run.out)
        self.run.cancel()
        for task, command in going.items():
            if command.job.id in self.run.machine.jobs and task not in self.run.out:
                self.run.out[task] = command
                self.run.end(task, failure("cancelled", "cancelled", False))

    @invariant()
    def no_task_is_out_twice(self) -> None:
        jobs = self.run.machine.jobs
        paths = [running.command.job.task for running in jobs.values()]
        assert len(paths) == len(set(paths))

    @invariant()
    def the_window_holds(self) -> None:
        opened = {task.partition("[")[2] for task in self.run.calls if task.startswith(("load[", "shaky["))}
        assert len(opened) <= 2

    @invariant()
    def nothing_runs_after_the_end(self) -> None:
        if self.run.finish is not None:
            assert not self.run.machine.jobs
            assert not self.run.machine.timers
            assert self.run.held() == 0

    @invariant()
    def a_machine_that_waits_waits_for_something(self) -> None:
        machine = self.run.machine
        assert self.run.finish is not None or machine.jobs or machine.timers or machine.requests


AnyEvents.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[*HealthCheck],
)
TestAnyEvents = AnyEvents.TestCase

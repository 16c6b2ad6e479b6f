"""Which job goes next, how many at once, and what is granted: no processes here."""

from __future__ import annotations

import pytest

from weft.executors.admission import Budget, bytes_text
from weft.executors.backlog import Backlog
from weft.executors.causes import death_text
from weft.executors.port import ImpossibleRequest
from weft.model.jobs import Entry, Job, Limits


def job(number, node=1, *, is_call=True, limits=None):
    return Job(number, "r", f"t[{number}]", 1, "", [], [Entry(node, (), {})], limits or Limits(), is_call)


def filled(*jobs):
    backlog = Backlog()
    for each in jobs:
        backlog.add(each)
    return backlog


def order(backlog, may_start=lambda lane: True):
    taken = []
    while (lane := backlog.next_lane(may_start)) is not None:
        taken += [each.id for each in backlog.take(lane, 1)]
    return taken


def test_jobs_go_by_age_and_glue_goes_first():
    assert order(filled(job(1), job(2, 2), job(3), job(4, 3, is_call=False))) == [4, 1, 2, 3]


def test_a_job_that_does_not_fit_is_passed_but_not_for_ever():
    backlog = filled(job(0, limits=Limits(cpu=8)), *[job(number, 2) for number in range(1, 200)])
    passed = order(backlog, lambda lane: lane.limits.cpu == 1)
    assert 0 not in passed
    assert 10 < len(passed) < 100


def test_a_job_that_waits_for_a_device_holds_no_core_back():
    backlog = filled(job(0, limits=Limits(gpu=1)), *[job(number, 2) for number in range(1, 200)])
    assert len(order(backlog, lambda lane: not lane.limits.gpu)) == 199


def test_dropped_jobs_never_start():
    backlog = filled(job(1), job(2), job(3))
    assert backlog.drop("r", {1, 3, 9}) == [1, 3]
    assert order(backlog) == [2]


def test_jobs_of_another_run_are_not_dropped():
    backlog = filled(job(1), job(2))
    assert backlog.drop("other", {1, 2}) == []
    assert order(backlog) == [1, 2]


def test_a_lane_whose_jobs_were_all_dropped_waits_for_nothing():
    backlog = filled(job(1), job(2))
    assert backlog.drop("r", {1, 2}) == [1, 2]
    assert backlog.next_lane(lambda lane: True) is None


def test_jobs_that_are_put_back_go_first_and_in_order():
    backlog = filled(job(3), job(4))
    backlog.put_back([job(1), job(2)])
    assert order(backlog) == [1, 2, 3, 4]


def lane_with(samples, waiting=1000):
    backlog = filled(*[job(number) for number in range(waiting)])
    lane = backlog.next_lane(lambda lane: True)
    for micros in samples:
        lane.learn(micros)
    return lane


@pytest.mark.parametrize(
    ("samples", "size"),
    [
        ([], 1),
        ([10], 1),
        ([10, 10], 2),
        ([10] * 100, 100),
        ([10] * 1000, 256),
        ([1000] * 1000, 20),
        ([6000] * 1000, 1),
        ([10] * 1000 + [100_000], 1),
    ],
)
def test_batches_grow_with_what_is_known_and_stay_short(samples, size):
    assert lane_with(samples).batch_size(2) == size


def test_a_batch_leaves_their_share_to_the_other_workers():
    assert lane_with([10] * 1000, waiting=100).batch_size(4) == 25


def test_what_is_taken_is_not_given_twice():
    budget = Budget(2, 1000, ("0", "1"))
    big = Limits(cpu=1.5, memory_bytes=600, gpu=1)
    grant = budget.take(big)
    assert grant.gpus == ("0",)
    assert not budget.fits(Limits(cpu=1))
    assert not budget.fits(Limits(cpu=0.5, memory_bytes=500))
    assert not budget.fits(Limits(cpu=0.5, gpu=2))
    assert budget.fits(Limits(cpu=0.5, memory_bytes=400, gpu=1))
    budget.give_back(grant)
    assert budget.fits(Limits(cpu=2, memory_bytes=1000, gpu=2))


def test_devices_are_looked_for_only_when_asked_for():
    looked = []
    budget = Budget(2, 1000, None, lambda: looked.append(1) or ("7",))
    assert budget.fits(Limits())
    assert not looked
    assert budget.clamp(Limits(gpu=1)) == (Limits(gpu=1), "")
    assert budget.take(Limits(gpu=1)).gpus == ("7",)
    with pytest.raises(ImpossibleRequest, match="gpu=2 is asked for, and this executor has 1"):
        budget.clamp(Limits(gpu=2))


def test_a_clamped_request_says_what_was_asked_and_what_there_is():
    limits, warning = Budget(2, 4 << 30).clamp(Limits(timeout_ms=5, cpu=8, memory_bytes=64 << 30))
    assert limits == Limits(5, 4 << 30, 2, 0)
    assert warning.endswith("cpu=8 (it has 2), memory=64 GiB (it has 4 GiB)")


@pytest.mark.parametrize(
    ("count", "text"), [(4 << 30, "4 GiB"), (1536, "1.5 KiB"), (100, "100 bytes"), (5000 << 30, "5000 GiB")]
)
def test_sizes_are_readable(count, text):
    assert bytes_text(count) == text


def test_peaks_have_a_decimal():
    assert bytes_text(4 << 30, exact=True) == "4.0 GiB"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (9, "killed by signal 9"),
        (15, "killed by signal 15 (SIGTERM)"),
        (9 << 8, "exited with code 9 (os._exit)"),
    ],
)
def test_wait_statuses_in_words(status, text):
    assert death_text(status) == text

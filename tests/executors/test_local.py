"""Tasks in real processes: results, deaths, stops, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import time

import pytest
from tests.executors.bench import WAIT_S, Bench, is_alive, value, wait_for

from weft.executors.local import LocalExecutor
from weft.executors.port import Ended, ImpossibleRequest, Started
from weft.model.jobs import Limits

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def test_a_job_comes_back_with_its_value_and_its_times(bench):
    before = time.time_ns() // 1_000_000
    report = bench.call("echo", [1, "two"])
    assert value(report) == [1, "two"]
    assert before <= report.started_ms <= report.ended_ms


def test_a_raised_exception_is_the_evaluators_report(bench):
    report = bench.call("fail", "no luck")
    assert (report.failure.kind, report.failure.message) == ("user", "no luck")


def test_each_job_is_started_before_it_ends(bench):
    job = bench.send("noop")
    bench.wait(job)
    kinds = [type(event) for event in bench.events]
    assert kinds.index(Started) < kinds.index(Ended)
    assert next(event for event in bench.events if isinstance(event, Started)).jobs == (job,)


# What runs together is tested by jobs that wait for one another, and not by the clock: they end only if it is so.


def test_two_slots_run_two_jobs_at_a_time_in_warm_workers(bench, tmp_path):
    start = time.monotonic()
    jobs = [bench.send("sleep", 0.1) for _ in range(6)]
    bench.wait_all(jobs)
    assert time.monotonic() - start >= 0.3  # never three
    jobs = [bench.send("meet", str(tmp_path), number, (number // 2 + 1) * 2) for number in range(6)]
    assert len({value(report) for report in bench.wait_all(jobs)}) == 2


def test_twelve_jobs_on_four_slots_take_three_turns(tmp_path):
    executor = LocalExecutor(cpu=4)
    bench = Bench(executor, tmp_path)
    jobs = [bench.job("meet", str(tmp_path), number, (number // 4 + 1) * 4) for number in range(12)]
    executor.submit(jobs)
    bench.wait_all([job.id for job in jobs])
    executor.close()


def test_ten_thousand_tiny_jobs_pass_in_batches_and_in_order(bench):
    jobs = [bench.job("echo", number) for number in range(10_000)]
    bench.executor.submit(jobs)
    reports = bench.wait_all([job.id for job in jobs])
    assert [value(report) for report in reports] == list(range(10_000))
    starts = [event for event in bench.events if isinstance(event, Started)]
    assert len(starts) < 1_000
    assert [len(event.jobs) for event in starts[:2]] == [1, 1]
    sent = [job for event in starts for job in event.jobs]
    assert sent == sorted(sent)


def test_jobs_larger_than_a_pipe_do_not_block_submit(bench):
    big = "x" * 3_000_000
    jobs = [bench.job("echo", big + str(number)) for number in range(8)]
    bench.executor.submit(jobs)
    for number, report in enumerate(bench.wait_all([job.id for job in jobs])):
        assert value(report) == big + str(number)


def test_exit_in_one_of_twelve_fails_that_attempt_alone(bench):
    jobs = [bench.send("leave", 9) if number == 5 else bench.send("echo", number) for number in range(12)]
    reports = bench.wait_all(jobs)
    failed = reports.pop(5)
    assert failed.failure.kind == "lost"
    assert "exited with code 9 (os._exit)" in failed.failure.message
    assert failed.failure.type == "weft.errors.WorkerLost"
    assert [value(report) for report in reports] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]


def test_a_death_in_a_batch_is_the_fault_of_one_job_only(bench):
    for _ in range(4):
        bench.call("noop", node=7)
    jobs = [
        bench.job("leave" if number == 100 else "noop", *([9] if number == 100 else []), node=7)
        for number in range(300)
    ]
    bench.executor.submit(jobs)
    reports = bench.wait_all([job.id for job in jobs])
    assert [number for number, report in enumerate(reports) if report.outcome != "ok"] == [100]


@pytest.mark.parametrize(
    ("number", "text"),
    [(9, "killed by signal 9"), (11, "killed by signal 11 (SIGSEGV)")],
    ids=["kill", "segv"],
)
def test_a_signal_is_named_as_the_cause(bench, number, text):
    failure = bench.call("kill_self", number).failure
    assert failure.kind == "lost"
    assert failure.message.endswith(text)


def test_a_worker_killed_from_outside_costs_one_attempt(bench):
    worker = value(bench.call("pid"))
    first, second = bench.send("sleep", 60), bench.send("sleep", 0.1)
    while not any(isinstance(event, Started) and first in event.jobs for event in bench.events):
        bench.poll(1)
    os.kill(worker, signal.SIGKILL)  # the idle worker has got the first job
    assert [report.outcome for report in bench.wait_all([first, second])] == ["fail", "ok"]


def test_last_output_is_told_with_the_death(bench):
    failure = bench.call("speak_and_die").failure
    assert "last words" in failure.traceback
    assert "raw last words" in failure.traceback


def test_a_crash_in_c_code_tells_the_line(bench):
    failure = bench.call("crash_in_c").failure
    assert failure.message.endswith("killed by signal 11 (SIGSEGV)")
    assert "in crash_in_c" in failure.traceback


def test_a_child_that_falls_out_of_a_step_is_no_worker(bench):
    assert value(bench.call("fork_and_fall_through")) == "parent"
    assert value(bench.call("echo", 1)) == 1


def test_timeout_raises_in_the_step_and_its_cleanup_runs(bench, tmp_path):
    report = bench.call("tidy", str(tmp_path / "mark"), limits=Limits(timeout_ms=200))
    assert report.failure.kind == "timeout"
    assert report.failure.type == "weft.errors.StepTimeout"
    assert "ran past its timeout of 0.2 s" in report.failure.message
    assert (tmp_path / "mark").read_text() == "tidied"


def test_a_step_that_swallows_the_timeout_is_killed_after_the_grace(bench, tmp_path):
    start = time.monotonic()
    report = bench.call("stubborn", str(tmp_path / "mark"), limits=Limits(timeout_ms=200))
    assert time.monotonic() - start >= 0.5
    assert report.failure.kind == "timeout"


@linux_only
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_deaf_and_detached_children_end_with_their_attempt(bench, tmp_path, how):
    limits = Limits(timeout_ms=500 if how == "timeout" else None)
    job = bench.send("with_children", str(tmp_path), limits=limits)
    while not (tmp_path / "detached").exists():
        bench.poll(0.01)
    if how == "cancel":
        bench.executor.cancel(bench.run, [job])
    report = bench.wait(job)
    assert report.failure.kind == {"timeout": "timeout", "cancel": "cancelled"}[how]
    for name in ("child", "detached"):
        assert not is_alive(int((tmp_path / name).read_text())), name


@linux_only
def test_a_detached_child_ends_with_a_worker_that_died(bench, tmp_path):
    assert bench.call("detach_and_leave", str(tmp_path / "detached")).failure.kind == "lost"
    assert not is_alive(int((tmp_path / "detached").read_text()))


@linux_only
def test_a_detached_child_of_a_succeeded_step_ends_with_the_run(bench, tmp_path):
    child = value(bench.call("detach", str(tmp_path / "detached"), 60))
    bench.executor.finish(bench.run)
    assert not is_alive(child)


@linux_only
@pytest.mark.parametrize("step", ["eat", "eat_in_child"])
def test_memory_is_limited_for_the_step_and_its_children(bench, step):
    report = bench.call(step, 400, limits=Limits(memory_bytes=200 << 20))
    assert report.failure.kind == "memory"
    assert report.failure.type == "weft.errors.OutOfMemory"
    told = re.search(
        r"killed by signal 9 \(out of memory: limit 200 MiB, peak (\d+)\.\d MiB\)$", report.failure.message
    )
    assert told is not None
    assert 200 <= int(told[1]) <= 450
    assert value(bench.call("echo", 1, limits=Limits(memory_bytes=200 << 20))) == 1


def test_a_step_within_its_memory_is_left_alone_and_its_peak_is_known(bench):
    report = bench.call("eat", 100, 0.2, limits=Limits(memory_bytes=400 << 20))
    assert value(report) == 100 << 20
    assert 100 << 20 <= report.memory_bytes_max <= 400 << 20


def test_cancel_of_a_running_step_lets_it_clean_up(bench, tmp_path):
    job = bench.send("tidy", str(tmp_path / "mark"))
    bench.call("noop")
    bench.executor.cancel(bench.run, [job])
    report = bench.wait(job)
    assert report.failure.kind == "cancelled"
    assert not report.failure.retryable


def test_cancel_of_a_deaf_step_kills_it_after_the_grace(bench, tmp_path):
    job = bench.send("stubborn", str(tmp_path / "mark"))
    while not (tmp_path / "mark").exists():
        bench.poll(0.01)
    start = time.monotonic()
    bench.executor.cancel(bench.run, [job], grace_ms=200)
    assert bench.wait(job).failure.kind == "cancelled"
    assert time.monotonic() - start >= 0.2


def test_queued_jobs_are_cancelled_at_once_and_never_start(bench):
    jobs = [bench.send("sleep", 0.3) for _ in range(6)]
    bench.executor.cancel(bench.run, jobs[2:])
    reports = bench.wait_all(jobs)
    assert [report.outcome for report in reports] == ["ok", "ok", "fail", "fail", "fail", "fail"]
    bench.call("noop")
    started = {job for event in bench.events if isinstance(event, Started) for job in event.jobs}
    assert not started & set(jobs[2:])


def test_cancel_in_a_batch_leaves_the_innocent_to_run(bench):
    for _ in range(4):
        bench.call("noop", node=7)
    jobs = [bench.job("noop", node=7) for _ in range(200)]
    bench.executor.submit(jobs)
    bench.executor.cancel(bench.run, [job.id for job in jobs[::2]])
    reports = bench.wait_all([job.id for job in jobs])
    assert all(report.outcome == "ok" for report in reports[1::2])
    assert {report.failure.kind for report in reports[::2] if report.failure} == {"cancelled"}


def test_a_worker_is_replaced_after_its_share_of_jobs(tmp_path):
    executor = LocalExecutor(cpu=1, recycle_jobs=3)
    bench = Bench(executor, tmp_path)
    pids = [value(bench.call("pid")) for _ in range(9)]
    executor.close()
    assert len(set(pids)) == 3


def test_a_worker_is_replaced_after_a_large_job(tmp_path):
    executor = LocalExecutor(cpu=1, recycle_bytes=150 << 20)
    bench = Bench(executor, tmp_path)
    first = value(bench.call("pid"))
    assert value(bench.call("eat", 200, 0.05))
    second = value(bench.call("pid"))
    executor.close()
    assert first != second


def test_admission_never_overcommits_cores(bench):
    start = time.monotonic()
    jobs = [bench.send("sleep", 0.2, limits=Limits(cpu=2)) for _ in range(3)]
    bench.wait_all(jobs)
    assert time.monotonic() - start >= 0.6


def test_halves_of_cores_run_together(bench, tmp_path):
    jobs = [bench.send("meet", str(tmp_path), number, 4, limits=Limits(cpu=0.5)) for number in range(4)]
    bench.wait_all(jobs)


def test_glue_does_not_wait_for_cores(bench, tmp_path):
    jobs = [bench.send("hold", str(tmp_path / "go")) for _ in range(2)]
    bench.call("noop", is_call=False)
    assert not bench.reports.keys() & set(jobs)
    (tmp_path / "go").touch()
    bench.wait_all(jobs)


def test_a_request_above_the_machine_is_clamped_with_a_warning(bench):
    granted, warning = bench.executor.check(Limits(cpu=64, memory_bytes=1 << 50))
    assert granted.cpu == 2
    assert "cpu=64 (it has 2)" in warning
    assert value(bench.call("echo", 1, limits=Limits(cpu=64))) == 1


def test_more_devices_than_there_are_is_refused(tmp_path):
    executor = LocalExecutor(cpu=1, gpus=("0", "1"))
    with pytest.raises(ImpossibleRequest, match="gpu=3"):
        executor.check(Limits(gpu=3))
    executor.close()


def test_tasks_that_run_together_see_different_devices(tmp_path):
    executor = LocalExecutor(cpu=4, gpus=("3", "5"))
    bench = Bench(executor, tmp_path)
    both = value(bench.call("devices", limits=Limits(gpu=2)))
    jobs = [bench.send("devices", limits=Limits(gpu=1)) for _ in range(2)]
    single = {value(report) for report in bench.wait_all(jobs)}
    without = value(bench.call("devices"))
    executor.close()
    assert both == "3,5"
    assert single == {"3", "5"}
    assert without == os.environ.get("CUDA_VISIBLE_DEVICES")


def test_the_hash_seed_is_the_same_in_all_workers_and_runs(tmp_path):
    seen = []
    for run in ("run1", "run2"):
        executor = LocalExecutor(cpu=2, recycle_jobs=1)
        bench = Bench(executor, tmp_path, run=run)
        seen += [value(bench.call("hash_seed")) for _ in range(3)]
        executor.close()
    assert all(each == seen[0] for each in seen)


def test_the_death_of_the_driver_ends_all(tmp_path):
    """Kill -9 of a driver process: its nursery, workers and their children go with it."""
    mark = tmp_path / "pids"
    pid = os.fork()
    if pid == 0:
        try:
            executor = LocalExecutor(cpu=2)
            bench = Bench(executor, tmp_path)
            worker = value(bench.call("pid"))
            bench.send("with_children", str(tmp_path))
            while not (tmp_path / "detached").exists():
                bench.poll(0.01)
            fresh = tmp_path / "fresh"
            fresh.write_text(f"{worker}")
            fresh.rename(mark)
            time.sleep(WAIT_S)
        finally:
            os._exit(1)  # never back into the tests
    worker = int(wait_for(mark))
    detached = int((tmp_path / "detached").read_text())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until = time.monotonic() + WAIT_S / 3
    while is_alive(worker) or is_alive(detached):
        assert time.monotonic() < until, "something outlived the driver"
        time.sleep(0.01)


@linux_only
def test_a_killed_nursery_is_replaced_and_its_jobs_are_lost(bench, tmp_path):
    worker = value(bench.call("pid"))
    with open(f"/proc/{worker}/stat") as file:
        nursery = int(file.read().rpartition(")")[2].split()[1])
    job = bench.send("start_child", str(tmp_path / "child"))
    child = int(wait_for(tmp_path / "child"))
    os.kill(nursery, signal.SIGKILL)
    assert bench.wait(job).failure.kind == "lost"
    until = time.monotonic() + WAIT_S / 3
    while is_alive(child):
        assert time.monotonic() < until, "a child outlived its worker and its nursery"
        time.sleep(0.002)
    assert value(bench.call("echo", 1)) == 1
    assert [notice.code for notice in bench.notices()] == ["nursery-lost"]


def test_wake_ends_a_poll(bench):
    bench.call("noop")
    bench.executor.wake()
    start = time.monotonic()
    assert bench.executor.poll(WAIT_S) == []
    assert time.monotonic() - start < WAIT_S / 2


def test_two_runs_share_one_executor(bench, tmp_path):
    other = Bench(bench.executor, tmp_path / "other", run="run2")
    first, second = bench.send("echo", "one"), other.send("echo", "two")
    got = {}
    while len(got) < 2:
        for event in bench.executor.poll(5):
            if isinstance(event, Ended):
                got[event.run] = value(event.report)
    assert got == {"run1": "one", "run2": "two"}
    assert first == second  # ids are of their run


def test_close_twice_is_allowed(tmp_path):
    executor = LocalExecutor(cpu=1)
    Bench(executor, tmp_path)
    executor.close()
    executor.close()


def test_work_folders_and_checkpoints_follow_the_attempt(bench):
    folder = value(bench.call("use_work_dir"))
    assert not os.path.exists(folder)
    assert bench.call("resume_from_checkpoint", True, key="k", task="t", attempt=1).outcome == "fail"
    assert value(bench.call("resume_from_checkpoint", False, key="k", task="t", attempt=2)) == 1

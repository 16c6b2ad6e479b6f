"""What attempts put out, caught through real workers."""

from __future__ import annotations

import pytest
from tests.executors.bench import Bench, value

from weft.executors.local import LocalExecutor
from weft.executors.port import Started
from weft.worker.logs import LogReader, log_path


def texts(bench: Bench, task: str, attempt: int = 1) -> list[tuple[str, str]]:
    return [(line.stream, line.text) for line in bench.log(task, attempt)]


def test_streams_logging_and_warnings_come_in_order_with_times(bench):
    report = bench.call("speak", task="t")
    bench.executor.finish(bench.run)
    lines = texts(bench, "t")
    assert [stream for stream, _ in lines][:4] == ["out", "err", "log", "warn"]
    assert [text for _, text in lines][:3] == ["one", "two", "INFO app: three"]
    assert "UserWarning: four" in lines[3][1]
    assert lines[-1] == ("out", "five")
    times = [line.ms for line in bench.log("t")]
    assert times == sorted(times)
    assert report.started_ms <= times[0] <= times[-1] <= report.ended_ms
    assert report.log_bytes >= len("one\ntwo\nthree\nfive\n")


def test_output_that_bypasses_python_is_the_attempts_own(bench):
    for number in range(20):
        report = bench.call("speak_raw", task=f"t[{number}]")
        assert report.log_bytes == len("from c\nfrom a child\n")
        assert texts(bench, f"t[{number}]") == [("out", "from c"), ("out", "from a child")]


def test_raw_output_of_tiny_jobs_in_a_row_is_not_mixed_up(bench):
    jobs = [bench.job("write_raw", number, task=f"t[{number}]") for number in range(400)]
    bench.executor.submit(jobs)
    reports = bench.wait_all([job.id for job in jobs])
    bench.executor.finish(bench.run)
    for number, report in enumerate(reports):
        assert texts(bench, f"t[{number}]") == [("out", f"raw {number}")]
        assert report.log_bytes == len(f"raw {number}\n")


def test_a_silent_attempt_makes_no_file(bench):
    assert bench.call("noop", task="quiet").log_bytes == 0
    bench.executor.finish(bench.run)
    assert not log_path(bench.context.log_folder, "quiet", 1).exists()


def test_a_warning_is_shown_again_in_the_next_attempt(bench):
    for attempt in (1, 2, 3):
        bench.call("speak", task="t", attempt=attempt)
    bench.executor.finish(bench.run)
    for attempt in (1, 2, 3):
        assert "warn" in [stream for stream, _ in texts(bench, "t", attempt)]


def test_output_is_readable_while_the_step_runs(bench):
    job = bench.send("speak_then_sleep", task="t")
    while not any(isinstance(event, Started) for event in bench.events):
        bench.poll(5)
    seen = []
    reader = LogReader(log_path(bench.context.log_folder, "t", 1))
    while job not in bench.reports and not seen:
        bench.poll(0.02)
        seen += [line.text for line in reader.read()]
    assert seen == ["early"]
    assert job not in bench.reports
    bench.executor.cancel(bench.run, [job])
    bench.wait(job)


def test_output_before_a_crash_is_kept(bench):
    bench.call("speak_and_die", task="t")
    assert texts(bench, "t") == [("out", "last words"), ("err", "raw last words")]


@pytest.mark.parametrize(("step", "amount"), [("flood", 40), ("long_line", 40)])
def test_a_flood_is_bounded_and_keeps_its_ends(tmp_path, step, amount):
    executor = LocalExecutor(cpu=1)
    bench = Bench(executor, tmp_path, log_bytes_max=4 << 20)
    bench.call(step, amount, task="t")
    executor.close()
    stored = sum(path.stat().st_size for path in (tmp_path / "logs").iterdir())
    assert 2 << 20 <= stored <= 4 << 20
    streams = [line.stream for line in bench.log("t")]
    assert streams.count("weft") >= 1
    if step == "flood":
        lines = [line.text for line in bench.log("t")]
        assert (lines[0], lines[-1]) == ("first", "last")


def test_inline_shows_and_logs_what_a_step_prints(tmp_path, capsys):
    from weft.executors.inline import InlineExecutor

    executor = InlineExecutor()
    bench = Bench(executor, tmp_path)
    bench.call("greet", task="t")
    assert texts(bench, "t") == [("out", "hello"), ("err", "careful")]
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("hello\n", "careful\n")


def test_progress_is_logged_but_not_a_thousand_times(any_bench):
    any_bench.call("report_progress", task="t")
    any_bench.executor.finish(any_bench.run)
    lines = [text for stream, text in texts(any_bench, "t") if stream == "progress"]
    assert 2 <= len(lines) < 500
    assert lines[-1] == '{"done":1000,"total":1000,"text":"done"}'


def test_both_executors_agree_on_values_and_failures(any_bench):
    assert value(any_bench.call("echo", {"a": [1]})) == {"a": [1]}
    assert any_bench.call("fail", "no").failure.message == "no"
    many = [any_bench.job("echo", number) for number in range(500)]
    any_bench.executor.submit(many)
    assert [value(report) for report in any_bench.wait_all([job.id for job in many])] == list(range(500))


def test_a_queued_job_is_cancelled_on_both(any_bench):
    jobs = [any_bench.job("sleep", 0.1) for _ in range(4)]
    any_bench.executor.submit(jobs)
    any_bench.executor.cancel(any_bench.run, [jobs[3].id])
    reports = any_bench.wait_all([job.id for job in jobs])
    assert [report.outcome for report in reports] == ["ok", "ok", "ok", "fail"]
    assert reports[3].failure.kind == "cancelled"

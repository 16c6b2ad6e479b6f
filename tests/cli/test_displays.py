"""What is shown while a run goes on: counts, plain lines, the live picture, JSON lines."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from weft.cli.display import JsonDisplay, PlainDisplay, Tally, printable
from weft.cli.live import LiveDisplay
from weft.clock import FakeClock
from weft.model.progress import (
    LogLine,
    Notice,
    RunEnded,
    RunStarted,
    StepPlanned,
    TaskEnded,
    TaskProgress,
    TaskRetrying,
    TaskStarted,
)

START = 1_700_000_000_000


def loop(count: int, step: str = "load", failed: tuple[int, ...] = ()):
    """The events of one loop of ``count`` tasks of 1 ms."""
    yield StepPlanned(step=step, count=count)
    for i in range(count):
        task = f"{step}[{i}]"
        yield TaskStarted(step=step, task=task, at_ms=START + i)
        state = "failed" if i in failed else "succeeded"
        yield TaskEnded(
            step=step, task=task, state=state, message="boom" if i in failed else "", at_ms=START + i + 1
        )


def plain(*events) -> list[str]:
    stream = io.StringIO()
    display = PlainDisplay(stream)
    for event in events:
        display.listen(event)
    display.close()
    return stream.getvalue().splitlines()


def live(*events, width: int = 90, height: int = 24) -> list[str]:
    display = LiveDisplay(Console(file=io.StringIO(), width=width), FakeClock(START + 5_000))
    for event in events:
        display.listen(event)
    return [line.plain for line in display.lines(width, height)]


def started(*steps: str) -> RunStarted:
    return RunStarted(run="0hq3", workflow="delays", steps=steps, at_ms=START)


def test_a_loop_is_one_plain_line():
    assert plain(*loop(10_000)) == ["✓ load (10,000 tasks, 10.0 s)"]


def test_a_plain_line_for_each_failure_and_retry_up_to_a_bound():
    events = list(loop(100, failed=tuple(range(50))))
    lines = plain(
        TaskRetrying(step="load", task="load[0]", attempt=1, delay_ms=500, message="no route"), *events
    )
    assert lines[0] == "↻ load[0]: attempt 1 failed: no route, again in 0.50 s"
    assert sum(line.startswith("✗ load[") for line in lines) == 19
    assert "further failures of load" in lines[20]
    assert lines[-1] == "✗ load (100 tasks, 50 failed, 1 retry, 0.10 s)"


def test_a_loop_in_a_loop_says_little():
    events = [event for _ in range(1000) for event in loop(3)]
    assert len(plain(*events)) < 15


def test_skips_say_so():
    assert plain(TaskEnded(step="notify", task="notify", state="skipped")) == ["– notify (skipped)"]


def test_a_range_of_tasks_counts_as_many():
    tally = Tally()
    tally.take(StepPlanned(step="load", count=1000))
    tally.take(TaskEnded(step="load", task="load[0..999]", state="reused", count=1000))
    assert (tally.steps["load"].done, tally.steps["load"].state) == (1000, "reused")


def test_a_second_attempt_is_not_a_second_task():
    tally = Tally()
    for attempt in (1, 2):
        tally.take(TaskStarted(step="f", task="f", attempt=attempt))
    assert (tally.steps["f"].running, tally.steps["f"].total) == (1, 1)


def test_live_shows_all_steps_before_they_run():
    lines = [line.rstrip() for line in live(started("load", "check"))[1:]]
    assert lines == ["  ○ load", "  ○ check"]


def test_live_shows_counts_time_and_the_last_line_of_a_loop():
    events = list(loop(12))[:14]
    line = live(started("load"), *events, LogLine(step="load", task="load[6]", text="reading 2013-06.csv"))[1]
    assert "6/12" in line
    assert "5.00 s" in line
    assert line.endswith("reading 2013-06.csv")


def test_live_shows_a_failure_with_its_message():
    line = live(started("load"), *loop(3, failed=(1,)))[1]
    assert line.startswith("  ✗ load")
    assert line.endswith("1 failed · boom")


def test_what_never_started_is_not_run_when_the_run_has_ended():
    events = (started("load", "notify"), *loop(3), StepPlanned(step="load", count=2))
    assert live(*events)[2].strip() == "○ notify"
    lines = live(*events, RunEnded(run="0hq3", state="failed", at_ms=START + 9))
    assert lines[2].split() == ["–", "notify", "not", "run"]
    assert lines[1].split() == ["✓", "load", "━━━━━━━─────", "3/5", "0.00", "s", "2", "not", "run"]
    lines = live(*events, RunEnded(run="0hq3", state="interrupted", at_ms=START + 9))
    assert lines[1].split()[:2] == ["⏸", "load"]


def test_a_task_that_an_interruption_cut_off_is_shown_as_interrupted():
    events = (started("f"), TaskStarted(step="f", task="f"), RunEnded(run="0hq3", state="interrupted"))
    assert live(*events)[1].split()[:2] == ["⏸", "f"]


def test_a_skipped_step_is_quiet_and_says_so():
    skips = [TaskEnded(step="f", task="f", state="skipped")]
    skips += [
        StepPlanned(step="g", count=3),
        TaskEnded(step="g", task="g[0] … g[2]", state="skipped", count=3),
    ]
    lines = [line.split() for line in live(started("f", "g"), *skips)[1:]]
    assert lines == [["–", "f", "skipped"], ["–", "g", "3", "skipped"]]


def test_in_a_narrow_terminal_the_words_still_have_room():
    events = [*loop(12)][:14]
    said = LogLine(step="load", task="load[6]", text="reading")
    line = live(started("load"), *events, said, width=60)[1]
    assert line.endswith("load[6]: reading")
    assert "━━━─── 6/12" in line


def test_progress_is_shown_as_a_percentage_and_its_words():
    said = TaskProgress(step="f", task="f", fraction=0.4, message="epoch 4")
    line = live(started("f"), TaskStarted(step="f", task="f"), said)[1]
    assert line.endswith("  40% epoch 4")


def test_output_that_comes_late_does_not_hide_why_a_step_failed():
    late = LogLine(step="load", task="load[1]", text="the last words")
    line = live(started("load"), *loop(3, failed=(1,)), late)[1]
    assert line.endswith("1 failed · boom")


def test_control_characters_of_steps_do_not_reach_the_terminal():
    text = "\x1b[31mred\x1b[0m\tand\x07 10%\r 20%"
    line = live(started("f"), TaskStarted(step="f", task="f"), LogLine(step="f", task="f", text=text))[1]
    assert line.endswith("  20%")
    assert printable("\x1b[31mred\x1b[0m\tbell\x07") == "red bell"


def test_tasks_that_end_together_are_counted_together():
    tally = Tally()
    for i in range(5):
        tally.take(TaskStarted(step="f", task=f"f[{i}]"))
    tally.take(TaskEnded(step="f", task="f[0] … f[3]", state="succeeded", count=4))
    assert (tally.steps["f"].running, tally.steps["f"].done) == (1, 4)


def test_live_fits_into_the_terminal():
    steps = [f"a_rather_long_step_name_{i}" for i in range(200)]
    done = [TaskEnded(step=step, task=step, state="succeeded", at_ms=START) for step in steps[:100]]
    running = TaskStarted(step=steps[100], task=steps[100], at_ms=START)
    lines = live(started(*steps), *done, running, Notice(message="n" * 300), width=60, height=20)
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 60
    assert any(steps[100][:30] in line for line in lines)
    assert any("more steps wait" in line for line in lines)


def test_live_text_from_steps_is_not_markup():
    line = live(
        started("f"), TaskStarted(step="f", task="f"), LogLine(step="f", task="f", text="[red]x[/red]")
    )[1]
    assert line.endswith("[red]x[/red]")


def test_live_opens_and_closes_on_a_terminal():
    stream = io.StringIO()
    display = LiveDisplay(Console(file=stream, force_terminal=True, width=80), FakeClock(START))
    display.open()
    for event in (started("load"), *loop(3), RunEnded(run="0hq3", state="succeeded", at_ms=START + 9)):
        display.listen(event)
    display.say("a line")
    display.close()
    assert "3/3" in stream.getvalue()
    assert "a line" in stream.getvalue()


def test_json_is_one_event_a_line():
    stream = io.StringIO()
    display = JsonDisplay(stream)
    display.listen(TaskEnded(step="load", task="load[1]", state="reused", at_ms=5))
    found = json.loads(stream.getvalue())
    assert found == {
        "event": "task-ended",
        "at_ms": 5,
        "step": "load",
        "task": "load[1]",
        "state": "reused",
        "count": 1,
        "message": "",
    }


@pytest.mark.parametrize(
    "make", [lambda: PlainDisplay(io.StringIO()), lambda: LiveDisplay(Console(file=io.StringIO()))]
)
def test_ten_thousand_tasks_cost_little(make):
    display = make()
    events = list(loop(10_000))
    before = time.process_time()
    for event in events:
        display.listen(event)
    # 20,001 events; measured 0.03 s. The bound only catches what is slow by design.
    assert time.process_time() - before < 1.0

"""Runs on local workers: side by side, alone in their failures, with retries, time-outs, cache and clamps."""

from __future__ import annotations

import itertools
import os
import time

import pytest

import weft
from weft.errors import StepTimeout, UserError, WorkerLost
from weft.executors.port import ImpossibleRequest
from weft.model.progress import Notice, TaskRetrying


def states(run) -> dict[str, str]:
    return {task.path: task.state for task in run.tasks()}


def test_twelve_steps_on_four_slots_take_three_turns_each_at_its_own_time(project):
    # Four that wait for one another end only if four run at a time, however slow the machine is.
    flow = project.module("""
        @step
        def meet(i):
            with open("came.txt", "a") as file:
                file.write(f"{i}\\n")
            turn = Path("came.txt").read_text().split().index(str(i)) // 4
            while len(Path("came.txt").read_text().split()) < (turn + 1) * 4:
                time.sleep(0.005)
            time.sleep(0.1)
            return i, os.getpid()

        @workflow
        def meets():
            return [meet(i) for i in range(12)]
        """)
    run = flow.meets.options(slots=4).run()
    assert [i for i, _ in run.result()] == list(range(12))
    assert len({pid for _, pid in run.result()}) == 4
    tasks = run.tasks()
    assert all(task.ended_ms - task.started_ms >= 100 for task in tasks)
    starts = sorted(task.started_ms for task in tasks)
    assert starts[4] - starts[0] >= 100
    assert starts[8] - starts[4] >= 100


def test_a_worker_that_dies_fails_that_attempt_alone(project):
    flow = project.module("""
        @step(retries=1, backoff="0s")
        def work(i):
            if i == 5 and not Path("died").exists():
                Path("died").touch()
                os._exit(9)
            return i

        @step
        def dies(i):
            if i == 7:
                os._exit(9)
            return i

        @workflow
        def works():
            return [work(i) for i in range(12)]

        @workflow
        def survives():
            out = []
            for i in range(12):
                try:
                    out.append(dies(i))
                except RuntimeError as error:
                    out.append(str(error))
            return out
        """)
    run = flow.works.run()
    assert run.result() == list(range(12))
    assert [task.attempts for task in run.tasks()] == [2 if i == 5 else 1 for i in range(12)]
    run = flow.survives.run()
    result = run.result()
    assert [item for item in result if isinstance(item, int)] == [i for i in range(12) if i != 7]
    assert "exit code 9" in result[7] or "9" in result[7]
    assert [task.path for task in run.tasks() if task.state == "failed"] == ["dies[7]"]
    assert run.task("dies[7]").failure.kind == "lost"
    with pytest.raises(WorkerLost):
        run.task("dies[7]").result()


def test_retries_wait_longer_each_time_and_no_retry_fails_at_once(project):
    flow = project.module("""
        from weft import current

        @step(retries=3, backoff="100ms", no_retry=KeyError)
        def flaky(kind):
            with open(f"{kind}.txt", "a") as file:
                file.write(f"{time.time()} {current().attempt} {current().key}\\n")
            if len(Path(f"{kind}.txt").read_text().splitlines()) < 4:
                raise {"os": OSError, "key": KeyError}[kind]("not yet")
            return current().attempt

        @workflow
        def flakes(kind):
            return flaky(kind)
        """)
    heard = []
    run = flow.flakes.options(executor="inline", on_event=heard.append).run("os")
    assert run.result() == 4
    lines = [line.split() for line in project.lines("os.txt")]
    assert [line[1] for line in lines] == ["1", "2", "3", "4"]
    assert len({line[2] for line in lines}) == 1  # one idempotency key for all attempts
    times = [float(line[0]) for line in lines]
    delays = [event.delay_ms / 1000 for event in heard if isinstance(event, TaskRetrying)]
    assert all(0.05 <= delay / 2**n <= 0.15 for n, delay in enumerate(delays)), delays
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert all(wait >= delay - 0.01 for wait, delay in zip(waits, delays, strict=True))
    causes = [entry.cause for entry in run.journal() if entry.kind == "task.retried"]
    assert causes == [f"attempt {n} failed: OSError: not yet" for n in (1, 2, 3)]
    with pytest.raises(KeyError):
        flow.flakes.options(executor="inline").run("key")
    assert len(project.lines("key.txt")) == 1


def test_the_timeout_of_an_attempt_is_enforced_and_catchable(project):
    flow = project.module("""
        @step(timeout="300ms", retries=1, backoff="0s")
        def slow():
            time.sleep(300)

        @step(timeout="5 min")
        def quick():
            return 0

        @workflow
        def caught():
            try:
                return quick(), slow()
            except TimeoutError as error:
                return str(error)

        @workflow
        def raised():
            return slow()
        """)
    run = flow.caught.run()
    assert "0.3" in run.result()
    assert states(run) == {"quick": "succeeded", "slow": "failed"}
    assert run.task("slow").attempts == 2  # each attempt has its own time
    with pytest.raises(StepTimeout, match="timeout"):
        flow.raised.run()


def test_the_timeout_of_a_task_counts_all_its_attempts(project):
    flow = project.module("""
        @step(task_timeout="2s", retries=1000, backoff="50ms")
        def never():
            with open("tries.txt", "a") as file:
                file.write("x\\n")
            raise OSError("never")

        @workflow
        def nevers():
            return never()
        """)
    with pytest.raises((TimeoutError, OSError)):
        flow.nevers.options(executor="inline").run()
    assert 1 < len(project.lines("tries.txt")) < 20


CACHED = """
    @step(cache=True)
    def always(x):
        with open("ran.txt", "a") as file:
            file.write(f"always {x}\\n")
        return x

    @step(cache="7d")
    def week(x):
        with open("ran.txt", "a") as file:
            file.write(f"week {x}\\n")
        return x

    @step
    def plain(x):
        with open("ran.txt", "a") as file:
            file.write(f"plain {x}\\n")
        return x

    @step(cache="1ms")
    def short(x):
        return x

    @workflow
    def caches(x):
        return always(x), week(x), plain(x), short(x)
    """


def test_the_cache_works_across_runs_for_as_long_as_it_says(project):
    flow = project.module(CACHED)
    caches = flow.caches.options(executor="inline")
    first = caches.run(1)
    time.sleep(0.005)
    second = caches.run(1)
    assert states(second) == {
        "always": "reused",
        "week": "reused",
        "plain": "succeeded",
        "short": "succeeded",
    }
    assert second.task("always").source == first.id
    assert f"of run {first.id}" in second.task("always").reason
    assert set(states(caches.run(2)).values()) == {"succeeded"}
    time.sleep(0.005)
    for_all = states(caches.options(cache=True).run(1))
    assert for_all == {**dict.fromkeys(for_all, "reused"), "short": "succeeded"}  # its own time still counts
    assert set(states(caches.options(cache=False).run(1)).values()) == {"succeeded"}
    assert states(caches.options(refresh=("week",)).run(1))["week"] == "succeeded"
    ended = project.weft("run", f"{flow.__name__}.py", "x=1", "--cache", "-q")
    assert ended.returncode == 0, ended.stderr
    assert states(weft.get_run()) == for_all


def test_an_edited_step_is_not_taken_from_the_cache(project):
    flow = project.module(CACHED)
    flow.caches.options(executor="inline").run(1)
    flow = project.edit(flow, 'file.write(f"always {x}\\n")\n    return x', "pass\n    return x + 100")
    assert flow.caches.options(executor="inline").run(1).result()[:2] == (101, 1)


def test_defaults_of_steps_come_from_the_profile_where_the_step_says_nothing(project):
    project.write(
        "pyproject.toml",
        '[tool.weft]\nexecutor = "inline"\n[tool.weft.step]\nretries = 1\nbackoff = "0s"\n',
    )
    flow = project.module("""
        @step
        def one():
            raise OSError

        @step(retries=2)
        def two():
            raise OSError

        @workflow
        def tries(which):
            if which == 1:
                return one()
            return two()
        """)
    for which in (1, 2):
        with pytest.raises(OSError):
            flow.tries.run(which)
        [task] = [task for task in weft.get_run().tasks() if task.state == "failed"]
        assert task.attempts == which + 1


def test_a_request_above_the_machine_is_clamped_with_one_warning(project):
    flow = project.module("""
        @step(cpu=4096, memory="900TiB")
        def vast(i):
            return i

        @workflow
        def vasts():
            return [vast(i) for i in range(3)]
        """)
    heard = []
    run = flow.vasts.options(on_event=heard.append).run()
    assert run.result() == [0, 1, 2]
    [said] = [event.message for event in heard if isinstance(event, Notice)]
    assert said.startswith("step vast: ")
    assert "cpu=4096" in said
    assert "memory" in said
    assert [entry.cause for entry in run.journal() if entry.kind == "note"] == [said]
    with pytest.warns(RuntimeWarning, match="step vast: "):  # where nobody listens
        flow.vasts.run()


def test_gpus_that_are_not_there_are_refused_before_the_run_starts(project):
    project.write("pyproject.toml", "[tool.weft]\ngpus = 0\n")
    flow = project.module("""
        @step(gpu=1)
        def trains():
            return 1

        @workflow
        def train():
            return trains()
        """)
    with pytest.raises(ImpossibleRequest, match="step trains: gpu=1 is asked for") as refused:
        flow.train.run()
    assert isinstance(refused.value, UserError)
    assert weft.list_runs() == []
    assert flow.train() == 1


def test_logs_warnings_and_output_of_a_step_are_kept_in_order(project):
    flow = project.module("""
        import logging, sys, warnings

        @step
        def talks():
            print("one")
            print("two", file=sys.stderr)
            logging.getLogger("mine").warning("three")
            warnings.warn("four")
            os.system("echo five")

        @workflow
        def talk():
            talks()
        """)
    run = flow.talk.run()
    text = [line.text.strip() for line in run.task("talks").logs()]
    places = [
        next(i for i, line in enumerate(text) if word in line) for word in ("one", "two", "three", "four")
    ]
    assert places == sorted(places)
    assert any("five" in line for line in text)
    assert os.path.isdir(project.home / "logs" / run.id)

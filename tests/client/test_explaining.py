"""Why a task or a run is as it is: the right cause for each situation, and none where the journal does not say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from tests.client.project import Project, until

import weft
from weft.cli.main import main
from weft.client.door import open_home
from weft.client.run import Run
from weft.client.tasks import NoSuchTask
from weft.client.why.explaining import NOT_RECORDED
from weft.driver.slots import Slots
from weft.model.journal import JournalEntry
from weft.model.records import NewRun
from weft.store.engine import statement

INLINE = '[tool.weft]\nexecutor = "inline"\n'
LOCAL = '[tool.weft]\nexecutor = "local"\nslots = 2\n'
WAY = """
    from weft import limit, mutex

    @step
    def load(m):
        return [m] * m

    @step
    def check(rows):
        return len(rows) > 2

    @step(retries=1, backoff=0)
    def alarm(rows):
        raise ValueError("no")

    @step
    def fix(rows):
        return rows

    @step
    def mend(rows):
        return rows

    @workflow
    def inner(rows):
        return fix(rows)
    """


class Told(NamedTuple):
    """What ``why`` must say of a task, or of the run itself (``task`` None): the cause, and words of its text."""

    task: str | None
    cause: str
    words: str = ""


Scene = Callable[[Project], tuple[Run, list[Told]]]


def _over(project: Project, text: str, *args: object, **options: object) -> Run:
    """Run the workflow ``flow`` to its end."""
    project.write("pyproject.toml", INLINE)
    run = project.module(WAY + text).flow.options(**options).start(*args).wait()
    return weft.get_run(run.id)


def a_finished_run(project):
    run = _over(
        project,
        """
    @step(retries=2, backoff=0)
    def shaky(rows):
        if not Path("tried").exists():
            Path("tried").touch()
            raise OSError("not yet")
        return rows

    @workflow
    def flow(n: int):
        rows = [load(m) for m in range(n)]
        if check(rows):
            kept = inner(rows)
        else:
            kept = mend(rows)
        try:
            alarm(kept)
        except KeyError:
            mend(kept)
        except ValueError:
            fix(kept)
        else:
            load(7)
        return shaky(kept)
    """,
        3,
    )
    return run, [
        Told("load[1]", "ran", "no earlier result was looked for"),
        Told("check", "ran", "the workflow calls it"),
        Told("inner/fix", "ran"),
        Told("mend", "skipped", "the branch on `check(rows)`"),
        Told("alarm", "failed", "ValueError: no"),
        Told("mend.2", "skipped", "`except ValueError` took it"),
        Told("load.2", "skipped", "its `else` did not run"),
        Told("fix", "ran"),
        Told("shaky", "retried", "the workflow calls it"),
        Told("load[9]", "no-item", "ran over 3 items"),
        Told("load", "loop", "3 succeeded"),
        Told(None, "succeeded", "the workflow returned"),
    ]


def a_failed_run(project):
    run = _over(
        project,
        """
    @step
    def unstorable(n):
        return (each for each in [n])

    @workflow
    def flow(n: int):
        bad = unstorable(n)
        rows = [load(m) for m in range(n)]
        if check(rows):
            return fix(bad)
        return mend(rows)
    """,
        3,
    )
    return run, [
        Told("unstorable", "failed-weft"),
        Told("fix", "after-failure", "unstorable failed before it"),
        Told(None, "failed", "unstorable"),
    ]


def a_run_that_was_left_early(project):
    run = _over(
        project,
        """
    @workflow
    def flow(n: int):
        for m in range(n):
            rows = load(m)
            if check(rows):
                break
            fix(rows)
        try:
            mend(rows)
        except ValueError:
            load(0)
        if n > 3:
            return rows
        return mend(rows)
    """,
        5,
    )
    return run, [
        Told("fix[3]", "left", "the loop was left"),
        Told("load[4]", "left", "turn 3"),
        Told("load.2", "skipped", "no exception"),
        Told("mend.2", "left", "the workflow returned"),
    ]


RESUMED = """
    @step
    def total(rows, limit):
        if limit == 1:
            raise ValueError("too little")
        return len(rows)

    @workflow
    def flow(months: list, limit: int):
        rows = [load(m) for m in months]
        kept = fix(rows)
        return total(kept, limit)
    """


def a_run_that_continues_another(project):
    first = _over(project, RESUMED, [1, 2], 1)
    module = project.load(first.record.module)
    project.edit(module, "def fix(rows):\n    return rows", "def fix(rows):\n    return list(rows)")
    run = weft.get_run(first.id).resume(params={"limit": 2}, from_="load[1]").wait()
    return run, [
        Told("load[0]", "reused", f"run {first.id}"),
        Told("load[1]", "asked", "asked to run again"),
        Told("fix", "missed", "has no result of this code and these inputs"),
        Told("total", "missed", "has no result"),
        Told(None, "succeeded"),
    ]


def a_run_whose_past_results_are_gone(project):
    first = _over(project, RESUMED.replace("return len(rows)", "return 'x' * 9000"), [1, 2], 2)
    output = first.task("total").output
    open_home().blobs.delete(output.artifact.digest)
    run = weft.get_run(first.id).resume().wait()
    return run, [Told("total", "missed", f"of run {first.id} is gone or damaged")]


CACHED = """
    @step(cache=True)
    def total(rows):
        return len(rows)

    @step(cache="1ms")
    def brief(rows):
        return len(rows)

    @workflow
    def flow(n: int, m: int):
        return total(load(n)), brief(load(m))
    """


def a_run_with_a_cache(project):
    first = _over(project, CACHED, 1, 1)
    until(lambda: open_home().clock.now_ms() > first.ended_ms + 5)
    run = project.load(first.record.module).flow.start(1, 1).wait()
    return weft.get_run(run.id), [
        Told("total", "cached", "the same code and inputs as total"),
        Told("brief", "missed", f"the cached result of run {first.id} is older"),
        Told("load", "ran"),
    ]


def a_run_that_misses_the_cache(project):
    first = _over(project, CACHED, 1, 1)
    run = project.load(first.record.module).flow.start(2, 1).wait()
    return weft.get_run(run.id), [Told("total", "missed", "the cache has no result")]


def a_queued_run(project):
    ended = _over(project, "@workflow\n    def flow(n: int):\n        return fix(n)\n", 3)
    home = open_home()
    record = ended.record
    fields = {name: getattr(record, name) for name in ("program", "module", "file", "inputs", "code")}
    new = NewRun(id=home.clock.new_id(), workflow="flow", created_ms=1, **fields)
    home.database.runs.create(new, b"", [JournalEntry(1, "run.accepted", cause="started")])
    return weft.get_run(new.id), [
        Told(None, "queued", "nobody has begun"),
        Told("fix", "waits-driver", "nobody has begun"),
    ]


SCENES = [
    a_finished_run,
    a_failed_run,
    a_run_that_was_left_early,
    a_run_that_continues_another,
    a_run_whose_past_results_are_gone,
    a_run_with_a_cache,
    a_run_that_misses_the_cache,
    a_queued_run,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_each_has_its_cause_and_without_its_entries_none(project, scene: Scene):
    run, told = scene(project)
    assert_told(run, told)


HELD = """
    @step
    def held(n):
        Path(f"held.{n}").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return n

    @step(retries=3, backoff="10min")
    def flaky(n):
        raise OSError("not now")

    @step(cpu=2)
    def wide(n):
        return n

    @workflow
    def flow(n: int):
        a = held(n)
        b = flaky(n)
        c = wide(n)
        with mutex("gpu"):
            d = fix(n)
        rows = [load(m) for m in range(a)]
        return mend(rows), b, c, d

    @workflow
    def short(n: int):
        return mend(held(n))
    """


def test_what_goes_on_and_what_waits_says_for_what_and_what_is_cancelled_too(project):
    project.write("pyproject.toml", LOCAL)
    slots = Slots(project.home / "limits", {})
    slots.ask(1, "gpu", 1)
    assert slots.grant()
    started = project.module(WAY + HELD).flow.start(3)
    run = weft.get_run(started.id)
    told = [
        Told("held", "running", "attempt 1"),
        Told("flaky", "waits-timer", "OSError: not now"),
        Told("wide", "waits-resource", "2 cores"),
        Told("fix", "waits-slots", "limit gpu, slots 1"),
        Told("load[0]", "waits-task", "it waits for held (running)"),
        Told("load", "waits-task", "it waits for held (running)"),
        Told("mend", "waits-task"),
        Told(None, "running", "claim 1 by process"),
    ]
    until(lambda: [run.why(each.task).cause for each in told] == [each.cause for each in told])
    assert_told(run, told)
    started.cancel()
    started.wait()
    slots.close()
    assert_told(
        run,
        [
            Told("held", "cancelled", "the run was cancelled"),
            Told("flaky", "cancelled"),
            Told("fix", "not-run"),
            Told("mend", "not-run", "the run ended before"),
            Told(None, "cancelled"),
        ],
    )


def test_an_interrupted_run_says_so_and_what_had_begun_runs_again(project):
    project.write("pyproject.toml", LOCAL)
    started = project.module(WAY + HELD).short.start(3)
    run = weft.get_run(started.id)
    until(lambda: run.why("held").cause == "running")
    started.stop()
    started.wait()
    assert_told(
        run,
        [
            Told("held", "interrupted", "it was cut off"),
            Told("mend", "interrupted", "nobody drives the run"),
            Told(None, "interrupted", "claim 1"),
        ],
    )
    (project.folder / "go").touch()
    run.resume().wait()
    assert_told(
        run, [Told("held", "begun", "it had begun when"), Told("mend", "ran"), Told(None, "succeeded")]
    )


def test_a_failing_run_says_what_failed_and_what_it_leaves_out(project):
    project.write("pyproject.toml", LOCAL)
    text = """
    @step
    def breaks(n):
        raise ValueError("broken")

    @workflow
    def flow(n: int):
        a = held(n)
        b = breaks(n)
        return mend(b), a
    """
    started = project.module(WAY + HELD.partition("@workflow")[0] + text).flow.start(3)
    run = weft.get_run(started.id)
    until(lambda: run.state == "failing" and run.why("held").cause == "running")
    told = [
        Told(None, "failing", "breaks failed: ValueError"),
        Told("mend", "after-failure", "breaks failed"),
    ]
    assert_told(run, told)
    (project.folder / "go").touch()
    started.wait()
    assert_told(run, [Told(None, "failed", "broken")])


def test_a_missed_key_says_what_changed_from_what_to_what(project):
    run, _ = a_run_that_continues_another(project)
    details = [*run.why("fix").details, *run.why("total").details]
    first = run.resumed_from
    assert any("source of `" in line and ".fix` changed" in line for line in details)
    assert (
        f"input `limit` changed: 1 → 2, since run {first}" not in details
    )  # total failed there: nothing to compare
    assert "no past run has a result of total" in details
    missed, _ = a_run_that_misses_the_cache(project)
    changes = missed.why("total").details
    assert len(changes) == 1
    assert changes[0].startswith("the result of load changed: [1] → [2, 2], since run ")


def test_a_task_that_the_program_does_not_have_is_refused(project):
    run, _ = a_run_with_a_cache(project)
    with pytest.raises(NoSuchTask, match="nothing"):
        run.why("nothing")
    with pytest.raises(NoSuchTask, match="load\\[3]"):
        run.why("load[3]")


def assert_told(run: Run, told: list[Told]) -> None:
    """Check each answer, and that without the entries it rests on there is none."""
    for each in told:
        reason = run.why(each.task)
        assert (each.task, reason.cause) == (each.task, each.cause), str(reason)
        assert each.words in reason.text
        assert reason.evidence
        with without([entry.seq for entry in reason.evidence], run):
            assert run.why(each.task).cause == NOT_RECORDED, each


@contextmanager
def without(entries: list[int], run: Run) -> Iterator[None]:
    """Take entries of a run's journal away, and put them back."""
    engine = open_home().database.engine
    place = {"run": run.id}
    columns = "run, seq, at_ms, kind, subject, cause, body, hash"
    kept = [
        engine.execute(
            statement(f"select {columns} from journal where run = :run and seq = :seq"), place | {"seq": n}
        )[0]
        for n in entries
    ]
    with engine.transaction():
        for seq in entries:
            engine.write(
                statement("delete from journal where run = :run and seq = :seq"), place | {"seq": seq}
            )
    try:
        yield
    finally:
        names = columns.split(", ")
        put = statement(f"insert into journal ({columns}) values ({', '.join(':' + name for name in names)})")
        with engine.transaction():
            engine.write_many(put, kept)


def test_the_command_prints_the_reason_with_its_entries_and_takes_a_task_of_the_latest_run(project, capsys):
    run, _ = a_finished_run(project)
    assert main(["why", "mend"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"mend  not started  {run.id}\n  it was skipped: the branch on `check(rows)`")
    assert "decided by the result of check: True" in out
    assert "branch.decided" in out
    assert main(["why", run.id, "mend", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["cause"], told["task"], told["run"]) == ("skipped", "mend", run.id)
    assert [entry["kind"] for entry in told["evidence"]] == ["task.ended", "branch.decided"]
    assert main(["why"]) == 0
    assert "succeeded: the workflow returned" in capsys.readouterr().out
    assert main(["why", "nothing"]) == 2

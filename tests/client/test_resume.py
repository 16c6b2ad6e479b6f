"""Resuming an ended run: what still holds is taken over, what changed runs again, the old run stays as it was."""

from __future__ import annotations

import os

import pytest
from tests.client.project import until

import weft
from weft.client.rerun.resuming import WorkflowGone
from weft.errors import UserError

FLOW = """
    LIMIT = 100

    def note(name):
        with open("effects.txt", "a") as file:
            file.write(name + "\\n")

    @step
    def load(month):
        note(f"load {month}")
        return [month] * 3

    @step
    def total(rows):
        note("total")
        return sum(map(sum, rows))

    @step
    def check(n, limit):
        note("check")
        if n > limit:
            raise ValueError(f"{n} is more than {limit}")
        return n

    @workflow
    def sums(months: list[int], limit: int = 5):
        return check(total([load(m) for m in months]), limit)
    """


@pytest.fixture
def failed(project):
    """A module whose workflow failed at its last step, and that run."""
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    module = project.module(FLOW)
    with pytest.raises(ValueError, match="9 is more than 5"):
        module.sums.run([1, 2])
    (project.folder / "effects.txt").unlink()
    return module, weft.get_run()


def states(run) -> dict[str, str]:
    return {task.path: task.state for task in run.tasks()}


def test_a_mended_step_runs_and_the_rest_is_taken_over(project, failed):
    module, old = failed
    project.edit(module, "raise ValueError", "print")
    run = weft.get_run(old.id).resume()
    assert run.wait().result() == 9
    assert project.lines("effects.txt") == ["check"]
    assert states(run) == {
        "load[0]": "reused",
        "load[1]": "reused",
        "total": "reused",
        "check": "succeeded",
    }
    assert run.id != old.id
    assert (run.resumed_from, run.params) == (old.id, {"months": "[1, 2]", "limit": "5"})
    assert weft.get_run(old.id).state == "failed"
    task = run.task("total")
    assert (task.source, task.result()) == (old.id, 9)
    assert "the same code and inputs" in task.reason
    assert [line.text.strip() for line in run.task("load[0]").logs()] == []


def test_a_comment_or_another_place_in_the_file_changes_nothing(project, failed):
    module, old = failed
    project.edit(module, "@step\ndef load(month):", "# Read a month.\n\n@step\ndef load(  month  ):")
    run = weft.get_run(old.id).resume(params={"limit": 50})
    assert run.wait().result() == 9
    assert project.lines("effects.txt") == ["check"]


def test_a_changed_step_makes_what_depends_on_it_run_again(project, failed):
    module, old = failed
    project.edit(module, "[month] * 3", "[month] * 2")
    run = weft.get_run(old.id).resume(params={"limit": 50})
    assert run.wait().result() == 6
    assert sorted(project.lines("effects.txt")) == ["check", "load 1", "load 2", "total"]


def test_equal_results_of_a_changed_step_stop_the_change(project, failed):
    module, old = failed
    project.edit(module, "[month] * 3", "[month, month, month]")
    run = weft.get_run(old.id).resume(params={"limit": 50})
    assert run.wait().result() == 9
    assert states(run)["total"] == "reused"


def test_other_parameters_by_value_and_by_text(project, failed):
    _, old = failed
    by_value = old.resume(params={"limit": 50}).wait()
    by_text = old.resume(params=["limit=60", "months=2,3"]).wait()
    assert (by_value.result(), by_text.result()) == (9, 15)
    assert by_text.params == {"months": "[2, 3]", "limit": "60"}
    assert states(by_text)["load[0]"] == "reused"  # month 2, which was load[1]
    assert states(by_text)["load[1]"] == "succeeded"
    with pytest.raises(UserError, match="lim"):
        old.resume(params=["lim=60"])
    with pytest.raises(TypeError):
        old.resume(params={"lim": 60})


@pytest.mark.parametrize("named", ["total", "load", "load[1]"])
def test_from_runs_a_task_again_and_what_depends_on_it_only_if_it_gives_something_else(
    project, failed, named
):
    _, old = failed
    run = old.resume(params={"limit": 50}, from_=named).wait()
    assert run.result() == 9
    ran = {path for path, state in states(run).items() if state == "succeeded"}
    wanted = {"total": {"total"}, "load": {"load[0]", "load[1]"}, "load[1]": {"load[1]"}}[named]
    assert ran == wanted | {"check"}


def test_from_of_a_task_that_the_run_does_not_have_is_refused(project, failed):
    _, old = failed
    with pytest.raises(UserError, match="no task 'trian'"):
        old.resume(params={"limit": 50}, from_="trian")
    ended = project.weft("resume", "limit=50", "--from", "trian")
    assert ended.returncode == 2
    assert "trian" in ended.stderr


def test_pinned_code_is_the_code_that_the_run_had(project, failed):
    module, old = failed
    project.edit(module, "[month] * 3", "[month] * 1000")
    ended = project.weft("resume", old.id, "--code", "pinned", "--from", "load")
    assert ended.returncode == 1, ended.stderr  # the old code, so the old failure
    assert "9 is more than 5" in ended.stdout
    run = weft.get_run()
    assert run.resumed_from == old.id
    assert states(run)["total"] == "reused"
    assert (project.folder / f"{module.__name__}.py").read_text().count("1000") == 1


def test_pinned_code_takes_other_parameters_too(project, failed):
    module, old = failed
    project.edit(module, "[month] * 3", "[month] * 1000")
    ended = project.weft("resume", old.id, "--code", "pinned", "limit=70")
    assert ended.returncode == 0, ended.stderr
    assert weft.get_run().result() == 9


def test_a_workflow_whose_file_is_gone_is_said_to_be(project, failed):
    module, old = failed
    (project.folder / f"{module.__name__}.py").unlink()
    with pytest.raises(WorkflowGone, match=r"workflow 'sums' in .*, which is not there now"):
        weft.get_run(old.id).resume()
    ended = project.weft("resume")
    assert ended.returncode == 2
    assert "--code pinned" in ended.stderr
    # And that is true.
    ended = project.weft("resume", old.id, "--code", "pinned", "--from", "check")
    assert "9 is more than 5" in ended.stdout


def test_options_of_the_old_run_go_on(project, failed):
    module, _ = failed
    with pytest.raises(ValueError, match="more than"):
        module.sums.options(name="nightly", tags={"team": "a"}, cache=False).run([3])
    old = weft.get_run()
    run = old.resume(params={"limit": 50}).wait()
    assert (run.workflow, run.tags, run.result()) == ("nightly", {"team": "a"}, 9)


def test_a_chain_of_resumes_reuses_through_all_of_it(project, failed):
    _, old = failed
    first = old.resume(params={"limit": 50}).wait()
    second = first.resume().wait()
    third = second.resume().wait()
    assert set(states(third).values()) == {"reused"}
    assert {task.source for task in third.tasks()} == {old.id, first.id}


def test_a_result_whose_artifact_is_gone_is_made_again(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    module = project.module("""
        @step
        def big(n):
            return list(range(n))

        @workflow
        def bigs(n: int):
            return len(big(n))
        """)
    old = module.bigs.run(20_000)
    for blob in (project.home / "artifacts").rglob("*"):
        if blob.is_file() and blob.stat().st_size > 20_000:
            blob.unlink()
    run = old.resume().wait()
    assert run.result() == 20_000
    assert states(run) == {"big": "succeeded"}


def test_a_cancelled_run_is_continued_by_a_new_one(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    module = project.module("""
        @step
        def first():
            return 1

        @step
        def halt(x, folder):
            from weft import get_run
            if not Path(folder, "go").exists():
                get_run().cancel()
                time.sleep(0.7)
            return x

        @step
        def last(x):
            return x

        @workflow
        def halts(folder):
            return last(halt(first(), folder))
        """)
    run = module.halts.start(str(project.folder)).wait()
    assert run.state == "cancelled"
    (project.folder / "go").touch()
    again = weft.get_run().resume().wait()
    assert again.result() == 1
    assert states(again)["first"] == "reused"


WHERE = """
    from weft import current

    @step
    def where(n):
        if not Path("go").exists():
            Path("held").touch()
            if n == 0:
                raise LookupError("not yet")
            time.sleep(60)
        return os.getpid()

    @workflow
    def wheres(n: int):
        return where(n)
    """


@pytest.mark.parametrize("code", ["current", "pinned"])
def test_the_executor_that_the_run_was_given_goes_on(project, code):
    module = project.module(WHERE)
    with pytest.raises(LookupError):
        module.wheres.options(executor="inline", slots=3).run(0)
    old = weft.get_run()
    (project.folder / "go").touch()
    run = old.resume(code=code).wait()
    assert run.result() == os.getpid()
    assert [task.executor for task in run.tasks()] == ["inline"]
    launch = run._home.launch(run.record)
    assert (launch.executor, launch.slots) == ("inline", 3)


def test_an_interrupted_run_goes_on_with_its_profile_and_executor(project):
    project.write("pyproject.toml", '[tool.weft.profiles.here]\nexecutor = "inline"\n')
    module = project.module(WHERE)
    run = module.wheres.options(profile="here", executor="local").start(1)
    until((project.folder / "held").exists)
    run.stop()
    assert run.wait().state == "interrupted"
    (project.folder / "go").touch()
    again = weft.get_run().resume().wait()
    assert again.id == run.id
    assert again.result() != os.getpid()
    assert [task.executor for task in again.tasks()] == ["local"]


def test_an_interrupted_run_goes_on_in_its_profile(project):
    project.write("pyproject.toml", "[tool.weft.profiles.here]\nslots = 1\n")
    module = project.module(WHERE)
    run = module.wheres.options(profile="here").start(1)
    until((project.folder / "held").exists)
    run.stop()
    run.wait()
    project.write("pyproject.toml", '[tool.weft.profiles.here]\nexecutor = "inline"\n')
    (project.folder / "go").touch()
    assert weft.get_run().resume().wait().result() == os.getpid()  # as the profile is now
    project.write("pyproject.toml", "")
    with pytest.raises(UserError, match="no profile 'here'"):
        weft.get_run().resume()


def test_a_strict_run_stays_strict(project, failed):
    module, _ = failed
    with pytest.raises(ValueError, match="more than"):
        module.sums.options(strict=True).run([3])
    run = weft.get_run().resume(params={"limit": 50}).wait()
    assert run._home.launch(run.record).code["strict"] is True

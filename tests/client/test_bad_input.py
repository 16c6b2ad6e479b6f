"""Bad input: a clear error that names thing and value, the right exit code, and nothing lost."""

from __future__ import annotations

import json

import pytest

import weft
from weft.client.starting import start
from weft.errors import UserError

FLOW = """
    @step
    def load(month: int) -> list[int]:
        return [month] * 3

    @workflow
    def sums(months: list[int], lr: float = 0.1):
        return [load(m) for m in months], lr
    """


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    return project.module(FLOW, "flow")


def refused(ended, *said: str) -> None:
    """Check that a command says what is wrong in so many words, that it is for the user, and started nothing."""
    assert ended.returncode == 2, ended.stdout + ended.stderr
    for words in said:
        assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert weft.list_runs() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["month=1"],
            ["unknown parameter 'month'", "Did you mean 'months'?", "needs the parameter 'months'"],
        ),
        ([], ["sums needs the parameter 'months'", "months: list[int]"]),
        (["months=1,x"], ["parameter 'months'", "'x'"]),
        (["months=1", "lr=abc"], ["parameter 'lr'", "float", "'abc'"]),
        (["months=1..12"], ["months", "range(1, 13)"]),
        (["months=1", "months=2"], ["given twice"]),
        (["1"], ["'1' is no parameter", "name=value"]),
        (["months=1", "--profile", "big"], ["no profile 'big'"]),
    ],
    ids=["unknown", "missing", "item", "type", "range", "twice", "no name", "profile"],
)
def test_bad_parameters_are_named_and_start_nothing(project, flow, words, said):
    ended = project.weft("run", "flow.py", *words)
    if words == ["months=1..12"]:
        said = ["months", "1..12"]
    refused(ended, *said)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("none.py", "x = 1\n", ["none.py has no workflow", "@workflow"]),
        (
            "two.py",
            "from weft import workflow\n@workflow\ndef a(): pass\n@workflow\ndef b(): pass\n",
            ["two.py has several workflows: a, b", "two.py:a"],
        ),
        ("two.py:c", "from weft import workflow\n@workflow\ndef a(): pass\n", ["no workflow 'c'; it has: a"]),
        ("gone.py", None, ["there is no file gone.py"]),
        ("folder", None, ["folder is a folder", "Give the path of a Python file"]),
        ("flow-v2.py", "x = 1\n", ["flow-v2.py: its name is no name of a Python module"]),
    ],
    ids=["none", "two", "unknown", "gone", "folder", "name"],
)
def test_a_file_without_a_clear_workflow(project, file, text, said):
    (project.folder / "folder").mkdir()
    if text is not None:
        project.write(file.partition(":")[0], text)
    refused(project.weft("run", file), *said)


def test_a_syntax_error_shows_the_line_and_a_caret(project):
    project.write("typo.py", "from weft import workflow\n\n@workflow\ndef f(x:\n    return x\n")
    ended = project.weft("run", "typo.py")
    assert ended.returncode == 2
    assert 'typo.py", line 4' in ended.stderr
    assert "^" in ended.stderr
    assert "SyntaxError" in ended.stderr
    assert "/weft/" not in ended.stderr  # their traceback, not ours
    assert "importlib" not in ended.stderr


def test_an_error_while_importing_shows_the_users_traceback_only(project):
    project.write("deep.py", "def f():\n    return {}['key']\n")
    project.write("top.py", "import deep\nX = deep.f()\n")
    ended = project.weft("run", "top.py")
    assert ended.returncode == 2
    assert 'top.py", line 2' in ended.stderr
    assert 'deep.py", line 2, in f' in ended.stderr
    assert "top.py cannot be imported: KeyError: 'key'" in ended.stderr
    assert "/weft/" not in ended.stderr
    assert "importlib" not in ended.stderr


def test_a_compile_error_names_place_reason_and_what_to_write(project):
    project.module(
        """
        @step
        def go(x):
            return x

        @workflow
        def loops(x):
            while go(x):
                x += 1
        """,
        "flow",
    )
    ended = project.weft("run", "flow.py", "x=1")
    refused(ended, "flow.py:11:", "while go(x):", "^", "for ")


def test_a_parameter_that_cannot_be_stored_is_named(flow):
    with pytest.raises(UserError) as raised:
        flow.sums.run([1], lr=(i for i in range(3)))
    assert "lr" in str(raised.value)
    assert "generator" in str(raised.value)
    assert weft.list_runs() == []


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_result_that_cannot_be_stored_names_type_path_and_step(project, executor):
    flow = project.module("""
        import threading

        class Model:
            def __init__(self):
                self.lock = threading.Lock()

        @step(retries=2, backoff="0s")
        def makes():
            return {"models": [1, Model()]}

        @workflow
        def made():
            return makes()
        """)
    with pytest.raises(UserError) as raised:
        flow.made.options(executor=executor).run()
    text = str(raised.value)
    assert "lock" in text
    assert "['models'][1].lock" in text
    assert "the result of makes" in text
    [task] = weft.get_run().tasks()
    assert (task.state, task.attempts) == ("failed", 1)  # another attempt would be in vain


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_an_exception_that_cannot_be_pickled_comes_back_with_type_message_and_traceback(project, executor):
    flow = project.module("""
        import threading

        class Locked(RuntimeError):
            def __init__(self, text):
                super().__init__(text)
                self.lock = threading.Lock()

        def deep():
            raise Locked("cannot be pickled")

        @step
        def fails():
            deep()

        @workflow
        def failing():
            fails()
        """)
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        flow.failing.options(executor=executor).run()
    run = weft.get_run()
    assert run.failure.type.endswith("Locked")
    assert run.failure.message == "cannot be pickled"
    assert "in deep" in run.failure.traceback


def test_a_result_whose_class_is_gone_names_it(project):
    flow = project.module(
        """
        class Point:
            def __init__(self, x):
                self.x = x

        @step
        def make(x):
            return Point(x)

        @workflow
        def made(x: int):
            return make(x)
        """,
        "flow",
    )
    flow.made.options(executor="inline").run(1)
    project.edit(flow, "class Point", "class Punkt")
    ended = project.weft("get")
    assert ended.returncode == 3
    assert "flow.Point" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert project.weft("show").returncode == 0
    assert json.loads(project.weft("show", "--json").stdout)["state"] == "succeeded"


def test_a_class_of_a_script_is_looked_for_in_its_file(project):
    project.write(
        "script.py",
        """
        from weft import step, workflow

        class Point:
            def __repr__(self):
                return "<a point>"

        @step
        def make():
            return Point()

        @workflow
        def made():
            return make()

        if __name__ == "__main__":
            made.run()
        """,
    )
    assert project.python("script.py").returncode == 0
    resumed = project.weft("resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "<a point>" in resumed.stdout
    got = project.weft("get")
    assert got.stdout == "<a point>\n", got.stderr


def test_bad_settings_name_file_key_and_value(project, flow):
    project.write("pyproject.toml", "[tool.weft]\nslots = 0\n")
    ended = project.weft("run", "flow.py", "months=1")
    assert ended.returncode == 2
    assert f"{project.folder}/pyproject.toml: tool.weft.slots = 0 cannot be used" in ended.stderr
    assert not project.home.exists()


def test_options_are_checked_before_anything_starts(flow):
    for options, said in [
        ({"executor": "ray"}, "'ray'"),
        ({"slots": 0}, "slots = 0"),
        ({"retries": 3}, "retries=3"),
    ]:
        with pytest.raises(UserError, match=said):
            start(flow.sums.options(**options), ([1],), {})
    with pytest.raises(UserError, match=r"@step has no option retry=3"):
        weft.step(retry=3)
    with pytest.raises(UserError, match=r"memory='4 gigs'"):
        weft.step(memory="4 gigs")
    assert weft.list_runs() == []

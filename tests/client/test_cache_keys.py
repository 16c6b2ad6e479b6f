"""``cache=key_function``: what it gives stands for a step's inputs where results are looked for again."""

from __future__ import annotations

import pytest
from tests.client.project import Project

from weft.client.door import open_home
from weft.lang.compiler import compile_workflow
from weft.lang.steps import BadStep
from weft.worker.cache_key import BadCacheKey

FLOW = """
    def size(path, **rest):
        return os.stat(path).st_size, rest["rows"]

    @step(cache=size)
    def load(path, rows=10, *, verbose=False):
        with open("ran.txt", "a") as file:
            file.write("load\\n")
        return Path(path).read_text()[:rows]

    @workflow
    def main(path, rows=10, verbose=False):
        return load(path, rows, verbose=verbose)

    @workflow
    def each(paths):
        return [load(path) for path in paths]
    """


@pytest.fixture
def flow(project: Project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    project.write("data.txt", "hello")
    return project.module(FLOW)


def ran(project: Project) -> int:
    """Return how many calls have run since this was asked last."""
    lines = project.lines("ran.txt")
    (project.folder / "ran.txt").unlink(missing_ok=True)
    return len(lines)


def test_inputs_that_the_key_function_does_not_look_at_do_not_count(project, flow):
    assert flow.main.run("data.txt").result() == "hello"
    run = flow.main.run("./data.txt", verbose=True)
    assert (run.result(), ran(project)) == ("hello", 1)
    assert flow.main.run("data.txt", 3).result() == "hel"
    assert ran(project) == 1


def test_what_the_key_function_reads_of_the_world_counts(project, flow):
    flow.main.run("data.txt")
    project.write("data.txt", "longer")
    run = flow.main.run("data.txt")
    assert (run.result(), ran(project)) == ("longer", 2)
    assert "key function `size` gave (6, 10) instead of (5, 10)" in str(run.why("load"))
    again = flow.main.run("data.txt").why("load")
    assert "the same code and cache key as load" in str(again)


def test_each_call_of_a_loop_has_a_key_of_its_own(project, flow):
    project.write("other.txt", "world!")
    assert flow.each.run(["data.txt", "other.txt"]).result() == ["hello", "world!"]
    assert flow.each.run(["other.txt", "data.txt", "./data.txt"]).result() == ["world!", "hello", "hello"]
    assert ran(project) == 2


def test_the_key_function_counts_as_code(project, flow):
    flow.main.run("data.txt")
    run = project.edit(flow, "st_size,", "st_size * 2,").main.run("data.txt")
    assert ran(project) == 2
    assert "key function" in str(run.why("load"))
    (found,) = open_home().fingerprints(f"{flow.__name__}.py:load")
    assert [part.name for part in found.parts if part.kind == "key function"] == [f"{flow.__name__}.size"]


def test_no_cache_and_refresh_count_more_than_the_key(project, flow):
    flow.main.run("data.txt")
    flow.main.options(cache=False).run("data.txt")
    flow.main.options(refresh=("load",)).run("data.txt")
    assert ran(project) == 3
    flow.main.options(cache=True).run("data.txt")
    assert ran(project) == 0


def test_a_resume_looks_at_the_key_too(project, flow):
    old = flow.main.run("data.txt")
    run = old.resume(params={"verbose": True})
    assert (run.wait().result(), ran(project)) == ("hello", 1)


def test_a_key_function_that_fails_is_named(project, flow):
    with pytest.raises(FileNotFoundError) as caught:
        flow.main.run("nowhere.txt")
    assert "in the key function `size` of step load" in caught.value.__notes__
    assert flow.main.start("nowhere.txt").wait().state == "failed"


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("lambda path: {'a': [object()]}", "type object at ['a'][0]"),
        ("lambda path: Path(path)", "type pathlib"),
    ],
)
def test_a_key_that_is_no_plain_data_is_refused(project, given, where):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    flow = project.module(FLOW.replace("cache=size", f"cache={given}"))
    with pytest.raises(BadCacheKey, match="the key function `<lambda>` of step load") as caught:
        flow.main.run("data.txt")
    assert where in str(caught.value)
    assert "Give None" in caught.value.hint


def test_keys_of_equal_values_are_equal_and_types_count(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    flow = project.module("""
        @step(cache=lambda value: value)
        def keep(value):
            return repr(value)

        @workflow
        def main(values):
            return [keep(value) for value in values]
        """)
    values = [1, True, 1.0, "1", (1,), [1], None, {"a": 1, "b": 2}, {1, 2}, frozenset({1, 2}), b"1", ()]
    flow.main.run(values)
    assert [task.state for task in flow.main.run(values).tasks() if task.kind == "call"] == ["reused"] * 12
    (same,) = [t for t in flow.main.run([{"b": 2, "a": 1}]).tasks() if t.kind == "call"]
    assert same.state == "reused"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("lambda file: 1", "asks for file, which the step does not have"),
        ("lambda *paths: 1", "takes 'paths' by position"),
        ("dict", "cannot be read|by position"),
    ],
)
def test_a_key_function_that_cannot_be_called_is_refused_before_the_run(project, given, what):
    flow = project.module(FLOW.replace("cache=size", f"cache={given}"))
    with pytest.raises(BadStep, match=what) as caught:
        compile_workflow(flow.main)
    assert caught.value.hint


def test_arguments_are_evaluated_once(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    flow = project.module("""
        @step(cache=lambda a, b: a)
        def add(a, b=1):
            return a + b

        @workflow
        def main(n):
            xs = [n, n + 1]
            first = add(xs.pop(), b=len(xs))
            return first, add(first + 1), xs
        """)
    assert flow.main.run(1).result() == flow.main(1)
    assert flow.main.run(1).result() == flow.main(1)


def test_key_functions_work_on_worker_processes(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "local"\nslots = 2\n')
    project.write("data.txt", "hello")
    flow = project.module(FLOW)
    assert flow.each.run(["data.txt", "./data.txt"]).result() == ["hello", "hello"]
    ran(project)
    flow.each.run(["data.txt"])
    assert ran(project) == 0

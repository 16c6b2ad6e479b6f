"""Where workflows and steps may live: files, packages, ``__main__``, nested functions, libraries."""

from __future__ import annotations

import re

import pytest

import weft
from weft.errors import UserError
from weft.lang.refusals import CompileErrors


def test_a_package_with_relative_imports(project):
    project.write("shop/__init__.py", "RATE = 3\n")
    project.write(
        "shop/steps.py",
        """
        from weft import step
        from . import RATE
        @step
        def price(n):
            return n * RATE
        """,
    )
    project.write(
        "shop/flows/__init__.py",
        """
        from weft import workflow
        from ..steps import price
        @workflow
        def prices(rows: list[int]):
            return [price(n) for n in rows]
        """,
    )
    ended = project.weft("run", "shop/flows/__init__.py", "rows=1,2")
    assert ended.returncode == 0, ended.stderr
    assert weft.get_run().result() == [3, 6]
    flow = project.load("shop.flows")
    run = flow.prices.run([4])
    assert run.result() == [12]
    assert run.tasks()[0].executor == "local"


MAIN = """
    import sys
    from dataclasses import dataclass
    from enum import Enum
    from weft import step, workflow

    class Kind(Enum):
        A = 1

    @dataclass
    class Point:
        x: int
        kind: Kind = Kind.A

    class Odd(Exception):
        def __init__(self, point):
            super().__init__(point)
            self.point = point

    RATE = 2
    TABLE = {"a": [1]}

    @step
    def move(point):
        return Point(point.x * RATE + TABLE["a"][0], point.kind)

    @step
    def refuse(point):
        raise Odd(point)

    @workflow
    def moves(point):
        moved = move(point)
        return moved, [moved.x + RATE]

    @workflow
    def refuses(point):
        try:
            refuse(point)
        except Odd as odd:
            return move(odd.point), odd
    """


def test_classes_and_exceptions_of_main_are_identical(project):
    project.write(
        "script.py",
        MAIN
        + """
    if __name__ == "__main__":
        run = moves.run(Point(5))
        moved, rest = run.result()
        assert type(moved) is Point and moved == Point(11) and moved.kind is Kind.A, moved
        assert (moved, rest) == moves(Point(5))
        assert [task.executor for task in run.tasks()] == ["local"]
        moved, odd = refuses.run(Point(7)).result()
        assert type(odd) is Odd and odd.point == Point(7), odd
        try:
            workflow_fails.run(Point(1))
        except Odd as odd:
            assert odd.point == Point(1)
            print(odd.__notes__[0])
    """.replace(
            "if __name__",
            "@workflow\n    def workflow_fails(point):\n        refuse(point)\n\n    if __name__",
        ),
    )
    ended = project.python("script.py")
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"in run \w+; fix and continue with: weft resume \w+\n", ended.stdout)


def test_globals_of_main_changed_under_the_guard_travel_by_value_and_count_in_the_key(project):
    project.write(
        "script.py",
        MAIN
        + """
    if __name__ == "__main__":
        RATE = 10
        TABLE["a"] = [int(sys.argv[1])]
        run = moves.run(Point(5))
        print(run.result()[0].x, run.result()[1])
        RATE = 100
        again = run.resume().wait()
        print(again.result()[0].x, [task.state for task in again.tasks()])
        third = again.resume().wait()
        print(third.result()[0].x, [task.state for task in third.tasks()])
    """,
    )
    ended = project.python("script.py", "4")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["54 [64]", "504 ['succeeded']", "504 ['reused']"]


@pytest.mark.slow
def test_values_of_libraries_in_globals_of_main_count_in_the_key(project):
    pytest.importorskip("pandas")
    project.write(
        "script.py",
        """
        import pandas as pd
        from weft import step, workflow

        FRAME = pd.DataFrame({"a": [1, 2]})

        def total(n):
            return n + int(FRAME["a"].sum())

        @step
        def add(n):
            return total(n)

        @workflow
        def adds(n: int):
            return add(n)

        if __name__ == "__main__":
            run = adds.run(1)
            FRAME = pd.DataFrame({"a": [10, 20]})
            again = run.resume().wait()
            third = again.resume().wait()
            print(run.result(), again.result(), [task.state for task in third.tasks()])
        """,
    )
    ended = project.python("script.py")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "4 31 ['reused']\n"


def test_a_global_in_the_arguments_of_a_call_counts_in_the_key(project):
    flow = project.module("""
        RATE = 2
        def scale(x):
            return x * RATE

        @step
        def keep(x, by):
            return x, by

        @workflow
        def keeps(x):
            return keep(x, RATE), keep(scale(x), 1)
        """)
    run = flow.keeps.options(executor="inline").run(3)
    assert run.result() == ((3, 2), (6, 1))
    flow = project.edit(flow, "RATE = 2", "RATE = 5")
    again = weft.get_run(run.id).resume().wait()
    assert again.result() == ((3, 5), (15, 1))
    assert {task.state for task in again.resume().wait().tasks()} == {"reused"}


UNGUARDED = """
    from weft import step, workflow

    @step
    def one():
        return 1

    @workflow
    def ones():
        return one()

    print(ones.run().result())
    """


def test_a_run_at_the_top_of_a_script_names_the_line_and_the_guard(project):
    project.write("script.py", UNGUARDED)
    ended = project.python("script.py")
    line = UNGUARDED.splitlines().index("    print(ones.run().result())") + 1
    assert ended.returncode == 1
    assert f"script.py:{line}: a run is started here while" in ended.stderr
    assert 'if __name__ == "__main__":' in ended.stderr
    assert [run.state for run in weft.list_runs()] == ["failed"]  # one run, no loop of runs


def test_weft_run_of_a_file_that_starts_a_run_itself_says_so_and_starts_none(project):
    project.write("script.py", UNGUARDED)
    ended = project.weft("run", "script.py")
    line = UNGUARDED.splitlines().index("    print(ones.run().result())") + 1
    assert ended.returncode == 2
    assert f"script.py:{line}: a run is started here while script.py is being imported" in ended.stderr
    assert 'if __name__ == "__main__":' in ended.stderr
    assert weft.list_runs() == []


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_module_that_starts_a_run_while_a_step_imports_it_is_an_error(project, executor):
    path = project.write("other.py", UNGUARDED)
    flow = project.module("""
        @step
        def late():
            import other

        @workflow
        def lates():
            return late()
        """)
    with pytest.raises(UserError, match="a run is started here while other is being imported") as raised:
        flow.lates.options(executor=executor).run()
    line = UNGUARDED.splitlines().index("    print(ones.run().result())") + 1
    assert f"{path}:{line}: " in str(raised.value)
    assert [run.workflow for run in weft.list_runs()] == ["lates"]


def test_importing_an_unguarded_file_names_its_line_and_the_guard(project):
    path = project.write("other.py", UNGUARDED)
    with pytest.raises(UserError, match="a run is started here while other is being imported") as raised:
        project.load("other")
    assert str(path) in str(raised.value)
    assert weft.list_runs() == []


def test_nested_functions_keep_their_closures(project):
    flow = project.module("""
        def make(rate, names):
            class Local(ValueError):
                pass

            @step
            def scale(x):
                return x * rate, names

            @step
            def fail(x):
                raise Local(x)

            @workflow
            def scales(x):
                try:
                    fail(x)
                except Local as error:
                    return scale(x), rate, str(error)

            return scales
        """)
    for rate in (3, 4):
        scales = flow.make(rate, ["a"])
        assert scales.run(2).result() == scales(2) == ((2 * rate, ["a"]), rate, "2")


def test_a_changed_closure_is_another_step(project):
    flow = project.module("""
        def make(rate):
            @step(cache=True)
            def scale(x):
                return x * rate

            @workflow
            def scales(x):
                return scale(x)

            return scales.options(executor="inline")
        """)
    assert [flow.make(rate).run(2).result() for rate in (3, 4, 3)] == [6, 8, 6]
    states = [run.tasks()[0].state for run in weft.list_runs()]
    assert states == ["reused", "succeeded", "succeeded"]


def test_functions_of_libraries_become_steps(project):
    flow = project.module("""
        import json, math
        from statistics import fmean

        load = step(json.loads)
        root = step(math.sqrt)
        mean = step(fmean)
        size = step(len)
        low = step(min).options(name="low")

        @workflow
        def works(text):
            rows = load(text)
            return root(mean(rows)), size(rows), low(rows)
        """)
    run = flow.works.run("[4, 4, 4]")
    assert run.result() == (2.0, 3, 4)
    assert [task.path for task in run.tasks()] == ["loads", "fmean", "sqrt", "len", "low"]


def test_async_steps_run_to_their_end(project):
    flow = project.module("""
        import asyncio

        @step
        async def twice(x):
            await asyncio.sleep(0)
            return 2 * x

        @step
        async def fails(x):
            await asyncio.sleep(0)
            raise ValueError(x)

        @workflow
        def doubles(xs):
            try:
                fails(1)
            except ValueError as error:
                return [twice(x) for x in xs], error.args
        """)
    assert flow.doubles([1, 2]) == ([2, 4], (1,))
    for executor in ("inline", "local"):
        assert flow.doubles.options(executor=executor).run([1, 2]).result() == ([2, 4], (1,))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("made = workflow(lambda x: x + 1)", "lambda"),
        ("exec('def f(x):\\n    return x')\nmade = workflow(f)", "source"),
    ],
    ids=["lambda", "exec"],
)
def test_a_workflow_without_source_is_refused_clearly(project, text, said):
    flow = project.module(text)
    assert flow.made(1) in (1, 2)
    with pytest.raises(UserError) as refused:
        flow.made.run(1)
    assert said in str(refused.value)
    assert "def" in str(refused.value) or ".py file" in str(refused.value)
    assert not isinstance(refused.value, CompileErrors) or "made" in str(refused.value)


def test_a_lambda_is_a_step_like_any_other_function(project):
    flow = project.module("""
        double = step(lambda x: x * 2)

        @workflow
        def doubles(x):
            return double(x)
        """)
    run = flow.doubles.run(4)
    assert run.result() == 8
    assert [task.path for task in run.tasks()] == ["lambda"]


def test_a_module_run_with_python_dash_m_keeps_its_relative_imports(project):
    project.write("shop/__init__.py", "")
    project.write("shop/prices.py", "class Price(int):\n    pass\n")
    project.write(
        "shop/flow.py",
        """
        from weft import step, workflow
        from .prices import Price

        class Bill(list):
            pass

        @step
        def price(n):
            return Price(n)

        @workflow
        def bills(n: int):
            return Bill([price(n)])

        if __name__ == "__main__":
            bill = bills.run(3).result()
            print(type(bill) is Bill, type(bill[0]) is Price, bill)
        """,
    )
    ended = project.python("-m", "shop.flow")
    assert ended.stdout == "True True [3]\n", ended.stderr


def test_a_step_defined_under_the_guard_works(project):
    project.write(
        "script.py",
        """
        from weft import step, workflow

        def helper(x):
            return x + 1

        if __name__ == "__main__":
            rate = 3

            @step
            def scale(x):
                return helper(x) * rate

            @workflow
            def scales(x):
                return scale(x) + rate

            print(scales.run(1).result())
        """,
    )
    ended = project.python("script.py")
    assert ended.stdout == "9\n", ended.stderr

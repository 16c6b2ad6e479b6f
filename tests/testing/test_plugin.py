"""The pytest plugin, used by test files in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.timeout(300)

FLOWS = """
from weft import current, step, workflow

@step
def load(n: int) -> list[int]:
    raise RuntimeError("the real one was called")

@step(retries=3, backoff="1h")
def total(items: list[int]) -> int:
    if current().run and current().attempt < 3:
        raise OSError("not yet")
    return sum(items)

@step(cache="7d")
def price(n: int) -> str:
    return current().run

@workflow
def summed(n: int):
    return total(load(n))

@workflow
def priced(n: int):
    return price(n)

@workflow
def attempts(n: int):
    return total([n])
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with workflows; whatever its tests do, the user's home must stay as it is."""
    monkeypatch.setenv("WEFT_HOME", str(pytester.path / "users-home"))
    pytester.makepyfile(flows=FLOWS)
    return pytester


def passes(project: pytest.Pytester, text: str, **outcomes: int) -> str:
    """Run a test file in a process of its own and return what pytest printed."""
    project.makepyfile(test_flows=text)
    result = project.runpytest_subprocess("-q", "-p", "no:cacheprovider", "-p", "no:xdist")
    result.assert_outcomes(**(outcomes or {"passed": text.count("def test_")}))
    assert not (project.path / "users-home").exists()
    return str(result.stdout)


@pytest.mark.slow
def test_each_test_has_a_home_of_its_own(project: pytest.Pytester) -> None:
    passes(
        project,
        """
        import os
        import weft, flows

        def test_one(weft_home):
            assert os.environ["WEFT_HOME"] == str(weft_home)
            flows.priced.run(1)
            assert len(weft.list_runs()) == 1

        def test_other(weft_home):
            assert weft.list_runs() == []
        """,
    )


@pytest.mark.slow
def test_back_offs_cost_no_time_and_results_grow_old_at_a_word(project: pytest.Pytester) -> None:
    passes(
        project,
        """
        import flows

        def test_waits_for_hours_in_no_time(weft_clock):
            began_ms = weft_clock.now_ms()
            assert flows.attempts.run(4).result() == 4
            assert weft_clock.now_ms() - began_ms > 60_000  # two of up to 1 h and 2 h, by chance

        def test_cache_ends(weft_clock):
            first = flows.priced.run(1).result()
            weft_clock.advance("6d")
            assert flows.priced.run(1).result() == first
            weft_clock.advance("2d")
            assert flows.priced.run(1).result() != first
        """,
    )


def test_a_stand_in_works_in_plain_calls_and_in_workers_and_is_gone_afterwards(
    project: pytest.Pytester,
) -> None:
    passes(
        project,
        """
        import os
        import pytest
        import flows

        HERE = os.getpid()

        def doubled(n):
            assert helper(n) == n
            return [n, n]

        def helper(n):
            return n

        def test_value(weft_fake, weft_clock):
            load = weft_fake(flows.load, [1, 2])
            assert flows.summed(5) == 3
            assert flows.summed.run(7).result() == 3
            assert [call.args for call in load.calls] == [(5,), (7,)]

        def test_function_of_the_test_file(weft_fake, weft_clock):
            load = weft_fake(flows.load, doubled)
            assert flows.summed.run(7).result() == 14
            assert [call.args for call in load.calls] == [(7,)]

        def test_function_in_another_process(weft_fake, weft_home):
            weft_fake(flows.price, lambda n: os.getpid())
            assert flows.priced(1) == HERE
            assert flows.priced.run(1).result() != HERE

        def test_failure(weft_fake, weft_clock):
            def fails(n):
                raise KeyError(n)
            weft_fake(flows.load, fails)
            with pytest.raises(KeyError):
                flows.summed.run(7)

        def test_twice(weft_fake, weft_clock):
            weft_fake(flows.load, [1])
            again = weft_fake(flows.load, [2])
            assert flows.summed.run(1).result() == 2
            assert len(again.calls) == 1

        def test_gone():
            with pytest.raises(RuntimeError, match="the real one"):
                flows.summed(1)
            assert flows.load.__qualname__ == "load"

        def test_gone_from_runs_too(weft_home):
            with pytest.raises(RuntimeError, match="the real one"):
                flows.summed.run(1)

        def test_no_step(weft_fake):
            with pytest.raises(Exception, match="is no step"):
                weft_fake(len, 1)
        """,
    )


@pytest.mark.slow
def test_plain_call_and_durable_run_are_compared(project: pytest.Pytester) -> None:
    printed = passes(
        project,
        """
        import pytest
        import flows

        def test_same(assert_same_as_plain):
            assert assert_same_as_plain(flows.attempts, n=4) == 4

        def test_same_with_a_stand_in(assert_same_as_plain, weft_fake):
            weft_fake(flows.load, [3])
            assert assert_same_as_plain(flows.summed, 1) == 3

        def test_same_exception(assert_same_as_plain):
            with pytest.raises(RuntimeError, match="the real one"):
                assert_same_as_plain(flows.summed, n=1)

        def test_not_the_same(assert_same_as_plain):
            assert_same_as_plain(flows.priced, n=1)
        """,
        passed=3,
        failed=1,
    )
    assert "priced: the plain call and the durable run end differently" in printed


def test_pytest_finds_the_plugin_and_it_costs_nothing_until_it_is_used(project: pytest.Pytester) -> None:
    assert [each.value for each in entry_points(group="pytest11", name="weft")] == ["weft.testing.plugin"]
    project.makepyfile(
        test_nothing="""
        import sys
        def test_loaded():
            loaded = {name for name in sys.modules if name.split(".")[0] == "weft"}
            assert loaded == {"weft", "weft.seams", "weft.testing", "weft.testing.plugin"}
            assert not {"msgspec", "cloudpickle", "sqlite3"} & set(sys.modules)
        """
    )
    command = [sys.executable, "-m", "pytest", "-q", "test_nothing.py"]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "-p", "weft.testing.plugin"],
        cwd=project.path,
        env=environment,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout.decode()

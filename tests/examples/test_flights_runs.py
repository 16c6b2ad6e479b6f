"""The flights example from end to end: as a plain call, as a durable run, and from the shell; they end the same way."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pd = pytest.importorskip("pandas", reason="the examples need the extra [demo]")
pytest.importorskip("sklearn", reason="the examples need the extra [demo]")

from airports import airports  # noqa: E402
from flightlib.features import FEATURES  # noqa: E402
from flights import delays  # noqa: E402

ROOT = Path(__file__).parents[2]
YEAR_S_MAX = 180

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One home for all runs of this file, so that the workers' files are written once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(params=["plain", "durable"])
def call(request, home, monkeypatch):
    """Call a workflow in one way or the other and return its value."""
    monkeypatch.setenv("WEFT_HOME", str(home))
    if request.param == "plain":
        return lambda workflow, *args, **kwargs: workflow(*args, **kwargs)
    return lambda workflow, *args, **kwargs: workflow.run(*args, **kwargs).result()


def weft(*words, home, expected=0):
    """Run the command and return what it printed."""
    command = [str(Path(sys.executable).with_name("weft")), *words]
    environment = {**os.environ, "WEFT_HOME": str(home)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


def test_three_months_give_a_release(call, tmp_path):
    folder = Path(call(delays, [1, 2, 3], release_dir=str(tmp_path)))
    card = json.loads((folder / "card.json").read_text())
    assert folder.parent == tmp_path
    assert card["metrics"]["auc"] >= 0.7
    assert set(card["data_sha256"]) == {"flights.csv.zip", "weather.csv", "planes.csv", "train", "test"}
    model = pickle.loads((folder / "model.pickle").read_bytes())
    assert model.kind == card["metrics"]["kind"]
    assert list(model.pipeline.feature_names_in_) == FEATURES


def test_the_plain_call_and_the_durable_run_release_the_same(home, tmp_path, monkeypatch):
    monkeypatch.setenv("WEFT_HOME", str(home))
    plain = delays([1], target=0.6, release_dir=str(tmp_path))
    assert plain is not None
    assert delays.run([1], target=0.6, release_dir=str(tmp_path)).result() == plain
    assert [path.name for path in tmp_path.iterdir()] == [Path(plain).name]


def test_a_damaged_month_is_reported_and_nothing_is_released(call, tmp_path):
    assert call(delays, [1, 2], release_dir=str(tmp_path), damage=2) is None
    (line,) = (tmp_path / "notifications.txt").read_text().splitlines()
    assert line.startswith("bad data (")
    assert "month 2: time_hour" in line
    assert "month 1" not in line
    assert [path.name for path in tmp_path.iterdir()] == ["notifications.txt"]


def test_a_model_that_is_not_good_enough_is_not_released(call, tmp_path):
    assert call(delays, [1], target=0.99, release_dir=str(tmp_path)) is None
    (line,) = (tmp_path / "notifications.txt").read_text().splitlines()
    assert line.endswith("below 0.99: nothing released")
    assert [path.name for path in tmp_path.iterdir()] == ["notifications.txt"]


def test_the_second_workflow_ranks_destinations(call, tmp_path):
    table = call(airports, [1, 2], top=4, release_dir=str(tmp_path))
    assert list(table.columns) == ["dest", "bad", "good", "gap", "flights", "name"]
    assert len(table) == 4
    assert table["gap"].is_monotonic_decreasing
    assert table["gap"].iloc[0] > 0.1


def test_a_month_that_does_not_exist_fails_with_the_steps_own_exception(call, tmp_path):
    with pytest.raises(ValueError, match="month=13 is not between 1 and 12"):
        call(delays, [1, 13], release_dir=str(tmp_path))


def test_the_graph_shows_both_ends_before_anything_ran():
    text = weft("graph", "examples/flights/flights.py", "--format", "mermaid", home="/nonexistent")
    for name in ("read_month", "damage_month", "check_month", "train", "notify", "release"):
        assert name in text


def test_the_shell_runs_it_and_gets_the_result(home, tmp_path):
    weft(
        "run", "examples/flights/flights.py", "months=1,2", "target=0.6", f"release_dir={tmp_path}", home=home
    )
    folder = json.loads(weft("get", "--json", home=home))
    assert Path(folder if isinstance(folder, str) else folder["value"]).is_dir()


def test_the_shell_takes_a_branch_by_a_parameter(home, tmp_path):
    weft("run", "examples/flights/flights.py", "months=1", "damage=1", f"release_dir={tmp_path}", home=home)
    assert (tmp_path / "notifications.txt").is_file()


def cpu_s_of_children():
    """Return the processor time of all child processes that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_the_whole_year_takes_under_three_minutes(home, tmp_path):
    begin_s = cpu_s_of_children()
    months = ",".join(map(str, range(1, 13)))
    weft("run", "examples/flights/flights.py", f"months={months}", f"release_dir={tmp_path}", home=home)
    assert cpu_s_of_children() - begin_s < 2 * YEAR_S_MAX  # on both cores; other work is not counted
    (folder,) = tmp_path.iterdir()
    metrics = json.loads((folder / "card.json").read_text())["metrics"]
    assert metrics["train_rows"] + metrics["test_rows"] == 327_346

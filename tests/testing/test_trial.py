"""``weft test``: what crashes at every transition show, on real workers."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from weft.cli.main import main
from weft.testing.trial import Trial, TrialReport, run_trial

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the workflows, which is the current one; the user's home beside it must stay as it is."""
    folder = tmp_path / "project"
    folder.mkdir()
    name = f"flow_{tmp_path.name.replace('-', '_')}"
    shutil.copy(Path(__file__).with_name("flow.py"), folder / f"{name}.py")
    (folder / "target").write_text(f"{name}.py")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WEFT_HOME", str(tmp_path / "users-home"))
    return folder


def tried(project: Path, workflow: str, **more: object) -> TrialReport:
    target = f"{(project / 'target').read_text()}:{workflow}"
    return run_trial(Trial(target, [], **more))  # type: ignore[arg-type]


def test_a_workflow_is_compared_with_its_plain_call(project: Path) -> None:
    report = tried(project, "fine")
    assert (report.is_fine, report.plain.value, report.durable.value, report.chaos) == (True, 6, 6, None)


def test_drivers_and_workers_die_at_every_transition_and_the_run_ends_the_same(project: Path) -> None:
    chaos = tried(project, "fine", chaos=True).chaos
    assert chaos is not None
    assert (chaos.difference, chaos.outcome.value, chaos.findings, chaos.steps) == (None, 6, [], ["twice"])
    assert chaos.workers == 3  # of each call
    assert chaos.drivers_before == chaos.drivers_after >= 4  # of each commit; three calls, and the end
    assert not chaos.is_cut_short


@pytest.mark.slow
def test_the_users_home_is_not_touched(project: Path) -> None:
    home = os.environ["WEFT_HOME"]
    tried(project, "fine", chaos=True)
    assert os.environ["WEFT_HOME"] == home
    assert not Path(home).exists()


@pytest.mark.slow
def test_waiting_for_another_attempt_costs_no_time(project: Path) -> None:
    report = tried(project, "patient", chaos=True)
    assert report.is_fine
    assert report.durable.value == 3


@pytest.mark.slow
def test_whoever_dies_gives_back_the_slots_of_its_limits(project: Path) -> None:
    chaos = tried(project, "limited", chaos=True).chaos
    assert chaos is not None
    assert (chaos.difference, chaos.outcome.value, chaos.steps) == (None, [0, 2], ["twice"])


@pytest.fixture
def messy(project: Path) -> TrialReport:
    return tried(project, "messy", chaos=True)


@pytest.mark.slow
def test_a_second_attempt_that_meets_what_the_first_left_is_reported(messy: TrialReport) -> None:
    assert messy.chaos is not None
    assert messy.chaos.difference is None
    found = {(finding.step, finding.kind) for finding in messy.chaos.findings}
    assert found == {
        ("appends", "appended"),
        ("counts", "changed"),
        ("names_anew", "left"),
        ("asks_a_program", "appended"),
        ("writes_again", "same"),
    }
    assert not messy.is_fine
    lines = {finding.step: finding.where.rpartition(":")[2] for finding in messy.chaos.findings}
    text = Path(__file__).with_name("flow.py").read_text().splitlines()
    assert "open(" in text[int(lines["appends"]) - 1]
    assert lines["asks_a_program"] == ""
    assert messy.chaos.unwatched == {"asks_a_program": ["starts sh"]}
    assert len(messy.chaos.steps) == 8


def test_a_second_attempt_that_fails_is_reported_with_what_stood_in_its_way(project: Path) -> None:
    report = tried(project, "breaks", chaos=True)
    assert report.chaos is not None
    assert report.difference is None
    assert "FileExistsError" in (report.chaos.difference or "")
    (finding,) = report.chaos.findings
    assert (finding.step, finding.kind, "made-" in finding.path) == ("makes_folder", "failed", True)
    assert not report.is_fine


@pytest.mark.slow
def test_a_result_that_depends_on_what_was_left_is_reported(project: Path) -> None:
    report = tried(project, "unequal", chaos=True)
    assert report.chaos is not None
    assert (report.difference, report.durable.value) == (None, 1)
    assert report.chaos.outcome.value > 1
    assert report.chaos.difference is not None
    assert [finding.kind for finding in report.chaos.findings] == ["appended"]


@pytest.mark.slow
def test_of_many_places_the_seed_chooses(project: Path) -> None:
    chaos = tried(project, "fine", chaos=True, crashes=4, seed=7).chaos
    assert chaos is not None
    assert chaos.share < 1
    assert 1 <= chaos.crashes <= 10
    assert chaos.workers >= 1  # the first task of each step, in any case


def test_a_worker_that_dies_gives_its_step_a_second_attempt(project: Path) -> None:
    chaos = tried(project, "fine", chaos=True, crashes=1, seed=82).chaos
    assert chaos is not None
    assert (chaos.drivers_before, chaos.drivers_after) == (0, 0)  # so that it is not the drivers' doing
    assert (chaos.workers, chaos.steps) == (1, ["twice"])


@pytest.mark.slow
def test_without_time_nobody_dies(project: Path) -> None:
    chaos = tried(project, "fine", chaos=True, time_s=0.0).chaos
    assert chaos is not None
    assert (chaos.drivers_before, chaos.drivers_after, chaos.is_cut_short) == (0, 0, True)


# -- the command ----------------------------------------------------------------------------------------------


def weft(project: Path, *words: str) -> int:
    return main(["test", *[word.replace("FLOW", (project / "target").read_text()) for word in words]])


@pytest.mark.slow
def test_the_command_says_that_all_is_well(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weft(project, "FLOW:fine", "--chaos", "n=1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "✓ fine: the plain call and the durable run end the same way"
    assert lines[1].startswith("✓ after ")
    assert lines[1].endswith("1 worker after a step's work) it ends the same way")
    assert lines[2] == "✓ 1 step had a second attempt, and none met what the first had left"


def test_the_command_says_what_was_met_and_what_to_write(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert weft(project, "FLOW:breaks", "--chaos") == 1
    text = capsys.readouterr().out
    assert "✗ after " in text
    assert "✗ 1 step of 1 met at the second attempt what the first had left" in text
    assert "→ Let the second attempt find what the first has left" in text


@pytest.mark.slow
def test_the_command_prints_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weft(project, "FLOW:unequal", "--chaos", "--seed", "3", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["chaos"]["seed"], found["plain"]) == (False, 3, {"value": "1"})
    assert found["chaos"]["crashes"]["worker_after_step"] == 1
    assert [each["kind"] for each in found["chaos"]["findings"]] == ["appended"]
    assert found["chaos"]["difference"]


@pytest.mark.parametrize("words", [["--seed", "3"], ["--crashes", "3"], ["--time", "1m"]])
def test_an_option_of_chaos_alone_is_refused(
    project: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert weft(project, "FLOW:fine", *words) == 2
    assert f"{words[0]} has no use without --chaos" in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert weft(project, "FLOW:fine", "--chaos", "--time", "soon") == 2
    assert "soon" in capsys.readouterr().err

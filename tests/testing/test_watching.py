"""What an attempt leaves is seen, and two attempts are compared, without any workers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.testing.comparing import Finding, compare
from weft.testing.watching import Footprint, Watch

Work = Callable[[], object]


def attempt(folder: Path, work: Work) -> Footprint:
    with Watch([str(folder)], [str(folder / "home")]) as watch:
        failure = ""
        try:
            work()
        except OSError as error:
            failure = f"{type(error).__name__}: {error}"
    return watch.footprint(failure)


def kinds(folder: Path, first: Work, second: Work | None = None) -> list[str]:
    return [found.kind for found in findings(folder, first, second)]


def findings(folder: Path, first: Work, second: Work | None = None) -> list[Finding]:
    one = attempt(folder, first)
    return compare("step", "step[0]", one, attempt(folder, second or first))


def appends(path: Path) -> None:
    with path.open("a") as file:
        file.write("line\n")


def test_a_file_that_grows_again_is_appended(tmp_path: Path) -> None:
    assert kinds(tmp_path, lambda: appends(tmp_path / "log")) == ["appended"]


def test_a_file_that_lay_there_before_may_be_appended_to_as_well(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("first\n")
    assert kinds(tmp_path, lambda: appends(tmp_path / "log")) == ["appended"]


def test_a_program_that_appends_is_seen_by_the_list_of_files(tmp_path: Path) -> None:
    command = ["sh", "-c", f"echo line >> {tmp_path}/log"]
    assert kinds(tmp_path, lambda: subprocess.run(command, check=True)) == ["appended"]


def test_a_file_outside_the_project_is_seen_by_its_opening(tmp_path: Path) -> None:
    project, other = tmp_path / "project", tmp_path / "other"
    project.mkdir()
    assert kinds(project, lambda: appends(other)) == ["appended"]


def test_what_is_read_and_written_back_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    assert kinds(tmp_path, lambda: path.write_text(f"{path.read_text()}+1")) == ["changed"]


def test_what_is_changed_in_place_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"0123")
    turns = iter(b"xy")

    def turn() -> None:
        with path.open("r+b") as file:
            file.write(bytes([next(turns)]))

    assert kinds(tmp_path, turn) == ["changed"]


def test_a_database_that_gets_another_row_is_changed(tmp_path: Path) -> None:
    def insert() -> None:
        connection = sqlite3.connect(tmp_path / "rows.db")
        connection.execute("create table if not exists t (a)")
        connection.execute("insert into t values (?)", ("x" * 5000,))
        connection.commit()
        connection.close()

    assert kinds(tmp_path, insert) == ["changed"]


def test_a_new_name_for_each_attempt_leaves_the_first_behind(tmp_path: Path) -> None:
    names = iter(("one", "two"))
    assert kinds(tmp_path, lambda: (tmp_path / next(names)).write_text("x")) == ["left"]


def test_one_that_looks_first_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "made"
    assert kinds(tmp_path, lambda: path.exists() or path.write_text("x")) == []


def test_the_same_bytes_again_are_harmless(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, lambda: (tmp_path / "page").write_text("x"))
    assert (found.kind, found.is_harmless) == ("same", True)


def test_other_bytes_in_place_of_the_first_ones_are_harmless(tmp_path: Path) -> None:
    texts = iter(("one", "another"))
    (found,) = findings(tmp_path, lambda: (tmp_path / "page").write_text(next(texts)))
    assert (found.kind, found.is_harmless) == ("rewritten", True)


def test_a_file_that_is_replaced_whole_is_worth_no_word(tmp_path: Path) -> None:
    texts = iter(("one", "another"))

    def replace() -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text(next(texts))
        os.replace(fresh, tmp_path / "page")

    assert kinds(tmp_path, replace) == []


def test_what_comes_and_goes_is_worth_no_word(tmp_path: Path) -> None:
    def come_and_go() -> None:
        (tmp_path / "lock").write_text("x")
        (tmp_path / "lock").unlink()

    assert kinds(tmp_path, come_and_go) == []


def test_what_lies_in_the_home_is_worth_no_word(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    assert kinds(tmp_path, lambda: appends(tmp_path / "home" / "log")) == []


def test_a_folder_that_is_there_already_is_named_where_it_stands_in_the_way(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, lambda: os.mkdir(tmp_path / "made"))
    assert (found.kind, found.path) == ("failed", str(tmp_path / "made"))
    assert found.where.startswith(__file__)


def test_an_input_that_the_first_attempt_removed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_text("x")
    (found,) = findings(tmp_path, lambda: (path.read_text(), path.unlink()))
    assert (found.kind, found.path) == ("failed", str(path))


def test_a_second_attempt_that_fails_as_the_first_did_is_worth_no_word(tmp_path: Path) -> None:
    assert kinds(tmp_path, lambda: (tmp_path / "none").read_text()) == []


def test_the_line_that_opened_a_file_is_told(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, lambda: appends(tmp_path / "log"))
    line = int(found.where.rpartition(":")[2])
    assert "path.open" in Path(__file__).read_text().splitlines()[line - 1]


def test_what_cannot_be_watched_is_told(tmp_path: Path) -> None:
    found = attempt(tmp_path, lambda: subprocess.run(["true"], check=True))
    assert found.unwatched == {"starts true"}


def test_too_many_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.testing.watching.FILES_MAX", 2)
    for name in "abcd":
        (tmp_path / name).touch()
    assert "more than 2 files" in str(attempt(tmp_path, lambda: None).unwatched)

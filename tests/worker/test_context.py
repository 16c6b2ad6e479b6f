"""What a step can ask about itself."""

from __future__ import annotations

import threading

import pytest

from weft.worker.context import (
    Current,
    activate,
    current,
    deactivate,
    progress,
)


@pytest.fixture
def attempt(tmp_path):
    said = []
    now = Current("r1", "train[3]", 2, "key", work_folder=str(tmp_path / "w"))
    activate(now, said.append)
    yield said
    deactivate()


def test_a_plain_call_has_a_stand_in():
    now = current()
    assert (now.run, now.task, now.attempt, now.key) == ("", "", 1, "")
    first, second = now.work_dir, now.work_dir
    assert first.is_dir()
    assert first != second
    first.rmdir()
    second.rmdir()


def test_an_attempt_knows_itself_also_in_threads(attempt):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current()))
    thread.start()
    thread.join()
    assert seen == [current()]
    assert (seen[0].run, seen[0].task, seen[0].attempt, seen[0].key) == ("r1", "train[3]", 2, "key")


def test_current_cannot_be_changed(attempt):
    with pytest.raises(AttributeError, match="immutable"):
        current().run = "other"


def test_the_work_folder_is_one_for_the_attempt_and_gone_after_it(attempt):
    folder = current().work_dir
    (folder / "x").write_text("x")
    assert current().work_dir == folder
    deactivate()
    assert not folder.exists()


def test_the_work_folder_is_made_only_when_asked_for(attempt, tmp_path):
    deactivate()
    assert not (tmp_path / "w").exists()


def test_in_a_plain_call_progress_does_nothing():
    progress(1, 2)


def test_progress_keeps_the_first_and_the_last(attempt):
    for done in range(100):
        progress(done, 100)
    progress(100, 100, "ready")
    assert attempt[0] == '{"done":0,"total":100,"text":""}\n'
    assert attempt[-1] == '{"done":100,"total":100,"text":"ready"}\n'
    assert len(attempt) < 10

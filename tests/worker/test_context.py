"""What a step can ask about itself."""

from __future__ import annotations

import threading

import pytest

from weft.worker.context import (
    Current,
    DamagedCheckpoint,
    activate,
    checkpoint,
    checkpoint_path,
    current,
    deactivate,
    progress,
)


@pytest.fixture
def attempt(tmp_path):
    said = []
    now = Current(
        "r1", "train[3]", 2, "key", work_folder=str(tmp_path / "w"), checkpoint_folder=str(tmp_path / "c")
    )
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


def test_a_checkpoint_is_kept_for_the_next_attempt(attempt, tmp_path):
    assert checkpoint.load("nothing") == "nothing"
    checkpoint.save({"epoch": 1})
    checkpoint.save({"epoch": 2})
    deactivate()
    activate(Current("r1", "train[3]", 3, "key", checkpoint_folder=str(tmp_path / "c")), None)
    assert checkpoint.load() == {"epoch": 2}
    assert [path.suffix for path in (tmp_path / "c").iterdir()] == [".pickle"]


def test_a_checkpoint_of_another_task_is_not_seen(attempt, tmp_path):
    checkpoint.save(1)
    activate(Current("r1", "train[4]", 1, "other", checkpoint_folder=str(tmp_path / "c")), None)
    assert checkpoint.load() is None


def test_a_damaged_checkpoint_is_reported_not_ignored(attempt, tmp_path):
    checkpoint.save(1)
    checkpoint_path(tmp_path / "c", "key").write_bytes(b"\x80\x05garbage")
    with pytest.raises(DamagedCheckpoint, match=r"train\[3\]"):
        checkpoint.load()


def test_in_a_plain_call_checkpoints_and_progress_do_nothing():
    checkpoint.save(1)
    assert checkpoint.load(5) == 5
    progress(1, 2)


def test_progress_keeps_the_first_and_the_last(attempt):
    for done in range(100):
        progress(done, 100)
    progress(100, 100, "ready")
    assert attempt[0] == '{"done":0,"total":100,"text":""}\n'
    assert attempt[-1] == '{"done":100,"total":100,"text":"ready"}\n'
    assert len(attempt) < 10

"""``checkpoint.save`` and ``checkpoint.load``: what is kept, for whom, and what a damaged one does."""

from __future__ import annotations

import os
import threading

import msgspec
import numpy as np
import pytest

from weft.model.context import RunContext
from weft.model.jobs import Entry, Job
from weft.model.values import Artifact
from weft.store.faults import Unstorable
from weft.worker import checkpoints
from weft.worker.checkpoints import DamagedCheckpoint, Shelf, checkpoint, shelf_folder


def job(task: str = "train[3]", value: str = "data", attempt: int = 1, name: str = "x") -> Job:
    slots = [Artifact(f"b3:{value}", "plain", 1, b"1")]
    return Job(1, "r1", task, attempt, f"r1/{task}", slots, [Entry(1, (3,), {name: (0, ())})])


@pytest.fixture
def enter(tmp_path):
    """Return what begins an attempt, of run ``r1`` if nothing else is said."""

    def begin(run: str = "r1", before: tuple[str, ...] = (), kept: int = 2, **of_job) -> None:
        folders = [str(tmp_path / "home" / "checkpoints" / each) for each in (run, *before)]
        context = RunContext(
            run=run,
            log_folder="",
            work_folder="",
            checkpoint_folder=folders[0],
            checkpoint_before=tuple(folders[1:]),
            checkpoints_kept=kept,
        )
        checkpoints.enter(context, job(**of_job))

    yield begin
    checkpoints.leave()


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(shelf_folder(tmp_path / "home" / "checkpoints" / "r1", "train[3]"))


def blob_files(shelf: Shelf) -> list[str]:
    return [file.name for file in (shelf.folder / "blobs").glob("*/*") if not file.name.startswith(".")]


def test_in_a_plain_call_checkpoints_do_nothing():
    checkpoint.save(1)
    assert checkpoint.load(5) == 5


def test_the_next_attempt_gets_what_was_saved_last(enter):
    enter()
    assert checkpoint.load("nothing") == "nothing"
    checkpoint.save({"epoch": 1})
    checkpoint.save({"epoch": 2})
    enter(attempt=2)
    assert checkpoint.load() == {"epoch": 2}


def test_another_task_does_not_see_it(enter):
    enter()
    checkpoint.save(1)
    enter(task="train[4]")
    assert checkpoint.load() is None


def test_a_run_that_continues_another_goes_on_from_there(enter):
    enter()
    checkpoint.save("of the first")
    enter(run="r2", before=("r1",))
    assert checkpoint.load() == "of the first"
    checkpoint.save("of the second")
    enter(run="r3", before=("r2", "r1"))
    assert checkpoint.load() == "of the second"


def test_with_other_inputs_it_is_not_taken_and_with_other_names_it_is(enter):
    enter()
    checkpoint.save("state")
    enter(run="r2", before=("r1",), value="other data")
    assert checkpoint.load("from the beginning") == "from the beginning"
    enter(run="r2", before=("r1",), name="rows@2")
    assert checkpoint.load() == "state"


@pytest.mark.parametrize("kept", [1, 3])
def test_the_last_few_are_kept_and_the_blobs_of_others_are_gone(enter, shelf, kept):
    for number in range(6):
        enter(kept=kept)
        checkpoint.save(bytes([number]) * 10_000)
    assert shelf.numbers() == list(range(7 - kept, 7))
    assert len(blob_files(shelf)) == kept
    assert checkpoint.load() == bytes([5]) * 10_000


def test_arrays_come_back_with_their_type_and_what_did_not_change_is_stored_once(enter, shelf):
    frozen = np.arange(500_000, dtype=np.float32)
    for epoch in range(2):
        enter()
        checkpoint.save({"frozen": frozen, "epoch": epoch})
    state = checkpoint.load()
    assert state["epoch"] == 1
    assert state["frozen"].dtype == np.float32
    assert np.array_equal(state["frozen"], frozen)
    sizes = [(shelf.folder / "blobs" / name[:2] / name).stat().st_size for name in blob_files(shelf)]
    assert sum(size > 1_000_000 for size in sizes) == 1


def test_of_a_damaged_checkpoint_the_one_before_is_taken_and_that_is_said(enter, shelf, capsys):
    enter()
    checkpoint.save(b"1" * 10_000)
    checkpoint.save(b"2" * 10_000)
    newest = shelf.point(2).artifact.digest.partition(":")[2]
    (shelf.folder / "blobs" / newest[:2] / newest).write_bytes(b"2" * 9_999)
    assert checkpoint.load() == b"1" * 10_000
    assert "checkpoint 2 is not used" in capsys.readouterr().err


def test_a_file_that_names_a_checkpoint_is_checked_too(enter, shelf):
    enter()
    checkpoint.save(1)
    checkpoint.save(2)
    path = shelf.folder / "00000002.checkpoint"
    digest = path.read_bytes().partition(b"\n")[0]
    point = msgspec.structs.replace(shelf.point(2), attempt=9)
    path.write_bytes(digest + b"\n" + msgspec.msgpack.encode(point))
    assert checkpoint.load() == 1


def test_where_none_is_whole_it_is_an_error_that_names_task_and_folder(enter, shelf):
    enter()
    checkpoint.save(b"1" * 10_000)
    for file in (shelf.folder / "blobs").glob("*/*"):
        file.unlink()
    with pytest.raises(DamagedCheckpoint, match=r"train\[3\]") as raised:
        checkpoint.load()
    assert str(shelf.folder) in raised.value.hint


def test_what_cannot_be_stored_is_named_and_the_one_before_stays(enter):
    enter()
    checkpoint.save("whole")
    with pytest.raises(Unstorable, match=r"checkpoint.*lock"):
        checkpoint.save({"lock": threading.Lock()})
    assert checkpoint.load() == "whole"


def test_processes_of_one_step_may_save_at_once(enter, shelf):
    enter(kept=3)
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            for turn in range(5):
                checkpoint.save((number, turn, bytes(5_000 + number)))
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert shelf.numbers() == [18, 19, 20]
    assert all(len(shelf.load(shelf.point(number))) == 3 for number in shelf.numbers())

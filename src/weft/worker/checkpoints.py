"""A step's own saved state: ``checkpoint.save(state)`` and ``checkpoint.load(default)``.

A task's checkpoints lie in a folder of their own, ``<checkpoints>/<run>/<hash of the task's path>``: the values
as blobs, by content, and for each checkpoint a small numbered file that names one. That file comes last, so a
crash leaves the checkpoint before or the new one. They are apart from the artifacts, whose blobs belong to many:
here the old ones can go at once.

State of this module: ``_now``, the attempt that this process runs. A plain global, so that threads and processes
which a step starts save and load too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from weft.digest import digest_bytes, digest_parts
from weft.errors import StoredDataError
from weft.model.context import RunContext
from weft.model.jobs import Job
from weft.model.values import Artifact
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore
from weft.store.durable import make_folder, sync_folder, write_durably
from weft.store.faults import DamagedArtifact, MissingArtifact

_SUFFIX: Final = ".checkpoint"
_LEFTOVER_MS: Final = 60 * 60 * 1000
_now: tuple[RunContext, Job] | None = None


def enter(context: RunContext, job: Job) -> None:
    """Make ``job`` the attempt whose checkpoints are meant. For workers only."""
    global _now
    _now = (context, job)


def leave() -> None:
    """Forget the attempt. For workers only."""
    global _now
    _now = None


class DamagedCheckpoint(StoredDataError):
    """Checkpoints of a task are there, and none of them is whole."""

    code = "damaged-checkpoint"

    def __init__(self, folder: Path, task: str, reason: Exception) -> None:
        super().__init__(
            f"the checkpoint of {task} cannot be read: {reason}",
            hint=f"Remove {folder} to start the step from its beginning.",
        )


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One checkpoint: its value, when it was saved, by which attempt, and a digest of the task's inputs."""

    artifact: Artifact
    saved_ms: int
    attempt: int
    inputs: str


class Shelf:
    """The checkpoints of one task."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = FileBlobStore(folder / "blobs")
        self._store = ArtifactStore(self._blobs)

    def save(self, value: Any, *, attempt: int, inputs: str, kept: int) -> None:
        """Keep ``value`` as the latest checkpoint, and of the older ones ``kept - 1``.

        Raises:
            Unstorable: names what inside the value cannot be stored. DiskFull: the checkpoints before are whole.
        """
        try:
            make_folder(str(self.folder))
            with self._locked():
                artifact = self._store.put(value, "the checkpoint")
                numbers = self.numbers()
                point = Point(artifact, time.time_ns() // 1_000_000, attempt, inputs)
                self._write(max(numbers, default=0) + 1, point)
                self._prune(kept)
        except OSError as error:
            raise self._blobs.translated(error) from error

    def load(self, point: Point) -> Any:
        """Return the value of a checkpoint.

        Raises:
            MissingArtifact, DamagedArtifact: it is not there, or not what was saved.
        """
        self._store.verify(point.artifact)
        return self._store.get(point.artifact)

    def numbers(self) -> list[int]:
        """Return the numbers of the checkpoints, the oldest first."""
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir(self.folder)
            return sorted(int(name[: -len(_SUFFIX)]) for name in names if name.endswith(_SUFFIX))
        return []

    def point(self, number: int) -> Point:
        """Return what is written of a checkpoint.

        Raises:
            DamagedArtifact: it is not what was written.
        """
        path = self._path(number)
        try:
            digest, _, raw = Path(path).read_bytes().partition(b"\n")
        except FileNotFoundError as error:
            raise MissingArtifact(str(number), path) from error
        if digest != digest_bytes(raw).encode():
            raise DamagedArtifact(digest.decode(errors="replace"), path, "something else")
        return msgspec.msgpack.decode(raw, type=Point)

    def _path(self, number: int) -> str:
        return f"{self.folder}/{number:08d}{_SUFFIX}"

    def _write(self, number: int, point: Point) -> None:
        raw = msgspec.msgpack.encode(point)
        write_durably(self._path(number), [digest_bytes(raw).encode() + b"\n", raw])

    def _prune(self, kept: int) -> None:
        """Delete all checkpoints but the latest, and the blobs that only they needed."""
        numbers = self.numbers()
        for number in numbers[:-kept]:
            os.unlink(self._path(number))
        # Synced in between, or a power cut could bring back a checkpoint whose blobs are gone.
        sync_folder(str(self.folder))
        needed = {digest for number in numbers[-kept:] for digest in self._needed_by(number)}
        for blob in self._blobs.list_blobs():
            if blob.digest not in needed:
                self._blobs.delete(blob.digest)
        self._blobs.delete_leftovers(time.time_ns() // 1_000_000 - _LEFTOVER_MS)

    def _needed_by(self, number: int) -> list[str]:
        # Of a damaged one nothing is needed any more.
        with contextlib.suppress(StoredDataError):
            artifact = self.point(number).artifact
            return [artifact.digest, *self._store.parts(artifact)]
        return []

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep out other processes of the step, which may save as well."""
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class Checkpoint:
    """A step's own saved state, kept from attempt to attempt of one task, and for the runs that continue it."""

    def save(self, value: Any) -> None:
        """Keep ``value`` for later attempts of this task. Does nothing in a plain call.

        Atomic and durable: after a crash, ``load`` gives this value or the one before. The last few are kept;
        how many says ``checkpoints`` in the settings. Content that did not change costs a hash only.

        Raises:
            Unstorable: names what inside the value cannot be stored. DiskFull: the checkpoints before are whole.
        """
        if _now is None:
            return
        context, job = _now
        shelf = Shelf(shelf_folder(context.checkpoint_folder, job.task))
        shelf.save(value, attempt=job.attempt, inputs=inputs_digest(job), kept=context.checkpoints_kept)

    def load(self, default: Any = None) -> Any:
        """Return what was saved last for this task with the same inputs, or ``default``, as in any plain call.

        Looks into this run first, then into those that it continues: the code may have changed since, the
        inputs may not. Of a damaged checkpoint the one before is taken, and that is printed.

        Raises:
            DamagedCheckpoint: something was kept, and none of it is whole.
        """
        if _now is None:
            return default
        context, job = _now
        for folder in (context.checkpoint_folder, *context.checkpoint_before):
            shelf = Shelf(shelf_folder(folder, job.task))
            damage: StoredDataError | None = None
            for number in reversed(shelf.numbers()):
                try:
                    point = shelf.point(number)
                    if point.inputs == inputs_digest(job):
                        return shelf.load(point)
                except (DamagedArtifact, MissingArtifact) as error:
                    damage = error
                    print(f"weft: checkpoint {number} is not used: {error.message}", file=sys.stderr)
            if damage is not None:
                raise DamagedCheckpoint(shelf.folder, job.task, damage)
        return default


def shelf_folder(folder: str | Path, task: str) -> Path:
    """Return where the checkpoints of a task lie, ``folder`` being those of its run."""
    return Path(folder) / digest_parts("checkpoints", [task]).rpartition(":")[2][:32]


def inputs_digest(job: Job) -> str:
    """Return a digest of the values that a job reads, whatever their names are."""
    read = {
        "/".join((job.slots[slot].digest, *map(str, path)))
        for entry in job.entries
        for slot, path in entry.bindings.values()
    }
    return digest_parts("checkpoint-inputs", sorted(read))


checkpoint = Checkpoint()

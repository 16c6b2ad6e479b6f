"""Looking after a home: is everything that a run refers to there and unchanged; what can be deleted."""

from __future__ import annotations

from typing import Any

import msgspec

from weft.client.home import Home
from weft.client.run import Run
from weft.errors import StoredDataError
from weft.model.records import Reference
from weft.model.values import Artifact
from weft.store.project import archive_homes

GRACE_MS = 60 * 60 * 1000


class VerifyReport(msgspec.Struct, frozen=True):
    """What a check of one run found. ``problems`` is empty where all is well; the first is the first found."""

    run: str
    entries: int
    artifacts: int
    problems: list[str]


class GcReport(msgspec.Struct, frozen=True):
    """What was deleted, or with ``dry_run`` would be."""

    deleted: int
    deleted_bytes: int
    kept: int
    dry_run: bool


def verify_run(home: Home, run: Run[Any]) -> VerifyReport:
    """Check the chain of the journal, the rows it vouches for, and each artifact's hash."""
    problems: list[str] = []
    entries = artifacts = 0
    try:
        entries = home.database.journal.verify(run.id)
    except StoredDataError as error:
        problems.append(error.message)
    for reference in home.database.references.of_run(run.id):
        artifacts += 1
        try:
            home.store.verify(_artifact(reference))
        except StoredDataError as error:
            problems.append(error.message)
    return VerifyReport(run.id, entries, artifacts, problems)


def _artifact(reference: Reference) -> Artifact:
    return Artifact(reference.digest, reference.codec, reference.size_bytes)


def collect_garbage(home: Home, *, dry_run: bool) -> GcReport:
    """Delete blobs that no run refers to and that are older than an hour."""
    needed = _needed(home)
    before_ms = home.clock.now_ms() - GRACE_MS
    deleted = deleted_bytes = kept = 0
    for blob in list(home.blobs.list_blobs()):
        if blob.digest in needed or blob.modified_ms > before_ms:
            kept += 1
            continue
        deleted += 1
        deleted_bytes += blob.size_bytes
        if not dry_run:
            home.blobs.delete(blob.digest)
    return GcReport(deleted, deleted_bytes, kept, dry_run)


def _needed(home: Home) -> set[str]:
    """Return the digests of all blobs that a run needs: artifacts, their parts, and archived code."""
    needed = set(home.database.references.digests())
    for run in _all_runs(home):
        for reference in home.database.references.of_run(run.id):
            artifact = _artifact(reference)
            if home.blobs.exists(artifact.digest):
                needed.update(home.store.parts(artifact))
        launch = home.launch(run.record)
        if launch.pin is not None:
            needed.add(launch.pin.archive.digest)
            needed.update(archive_homes(launch.pin, home.blobs))
    return needed


def _all_runs(home: Home) -> list[Run[Any]]:
    runs: list[Run[Any]] = []
    cursor = None
    while True:
        page = home.database.runs.list_runs(limit=500, cursor=cursor)
        runs += [Run(home, record) for record in page.runs]
        cursor = page.cursor
        if cursor is None:
            return runs

"""What ``weft gc`` deletes: runs that a policy lets go, blobs that no run needs, and what crashes left behind.

A run that is kept keeps all that its record leads to: the runs it continues, those whose results it took over, its
child runs. A blob that somebody put, or found in the cache, a short while ago is spared: whoever did so is about to
refer to it. Deleting is in two halves, so that a blob which somebody wants just then is put back (``BlobStore.hide``).
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from weft.client.home import Home
from weft.client.owners import is_dead
from weft.errors import StoredDataError
from weft.model.records import RunRecord
from weft.model.states import RUN_FINAL
from weft.model.values import Artifact
from weft.store.blobs import BlobInfo, BlobStore
from weft.store.project import archive_homes
from weft.store.runs import RunBusy, RunNotFound

GRACE_MS = 60 * 60 * 1000
_TICK_MS = 1000  # what the time of a file may lag behind the clock
_SILENCE_MS = 24 * 60 * 60 * 1000
_FOLDERS = ("logs", "work", "checkpoints")


class Policy(msgspec.Struct, frozen=True):
    """Which ended runs may go; without a rule, none.

    Attributes:
        older_than_ms: those that ended so long ago.
        keep_last: those that are not among the latest so many of their workflow.
        max_bytes: of those that may go, the oldest, until the artifacts of all others take no more than this.
    """

    older_than_ms: int | None = None
    keep_last: int | None = None
    max_bytes: int | None = None

    @property
    def has_rule(self) -> bool:
        return self != Policy()


class DoomedRun(msgspec.Struct, frozen=True):
    """A run that goes. ``size_bytes``: of the artifacts that only runs which go need.

    ``can_rebuild``: its code is archived, so that ``weft resume --code pinned`` of a copy, or the same call, makes
    its results again. ``took_ms``: what its tasks took, all together.
    """

    run: str
    workflow: str
    state: str
    ended_ms: int
    size_bytes: int
    took_ms: int
    can_rebuild: bool


class GcReport(msgspec.Struct, frozen=True):
    """What was deleted, or with ``dry_run`` would be: files (``deleted``) and runs; ``kept`` files are in use."""

    deleted: int
    deleted_bytes: int
    kept: int
    dry_run: bool
    runs: list[DoomedRun] = []


def collect_garbage(home: Home, policy: Policy, *, dry_run: bool = False) -> GcReport:
    """Delete what no run needs, after the ended runs that ``policy`` lets go."""
    collection = Collection(home)
    doomed = collection.doomed(policy)
    told = [collection.told(run, doomed) for run in doomed]
    gone = {run.id for run in doomed} if dry_run else _delete_runs(home, doomed)
    return collection.sweep_all(gone, told, dry_run=dry_run)


class Collection:
    """One look at a home. State: its runs, what each of them needs, and the blobs that were there."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.before_ms = _spared_from_ms(home)
        # Blobs first: what is put after this look is not in it.
        self.blobs = {blob.digest: blob for blob in home.blobs.list_blobs()}
        self.runs = {run.id: run for run in _all_runs(home)}
        self._needs = {run.id: needs_of(home, run) for run in self.runs.values()}

    # -- runs -------------------------------------------------------------------------------------------

    def doomed(self, policy: Policy) -> list[RunRecord]:
        """Return the ended runs that may go and that nothing kept leads to, the oldest first."""
        if not policy.has_rule:
            return []
        kept = self._led_to(run.id for run in self._protected(policy))
        going = [run for run in sorted(self.runs.values(), key=lambda run: run.id) if run.id not in kept]
        return going if policy.max_bytes is None else self._until_small(going, policy.max_bytes)

    def _protected(self, policy: Policy) -> Iterator[RunRecord]:
        # A size alone would take the last result of a workflow as well.
        keep_last = 1 if policy.keep_last is None and policy.older_than_ms is None else policy.keep_last or 0
        now_ms, seen = self._home.clock.now_ms(), Counter[str]()
        for run in sorted(self.runs.values(), key=lambda run: run.id, reverse=True):
            seen[run.workflow] += run.state in RUN_FINAL
            is_young = policy.older_than_ms is not None and run.ended_ms > now_ms - policy.older_than_ms
            if run.state not in RUN_FINAL or is_young or seen[run.workflow] <= keep_last:
                yield run

    def _led_to(self, runs: Iterable[str]) -> set[str]:
        """Return the runs themselves, and all that their records lead to."""
        found: set[str] = set()
        todo = list(runs)
        while todo:
            run = todo.pop()
            if run in self.runs and run not in found:
                found.add(run)
                todo += self._leads_to(self.runs[run])
        return found

    def _leads_to(self, run: RunRecord) -> list[str]:
        database = self._home.database
        known = [run.resumed_from, run.parent_run, *database.tasks.sources(run.id)]
        return [each for each in known if each] + [child.id for child in database.runs.children(run.id)]

    def _until_small(self, going: list[RunRecord], max_bytes: int) -> list[RunRecord]:
        """Return as many of the oldest as must go; those that lead to each other go together."""
        users = Counter(digest for needs in self._needs.values() for digest in needs)
        size = sum(self._size(digest) for digest in users)
        gone: list[RunRecord] = []
        for together in self._families(going):
            if size <= max_bytes:
                break
            for run in together:
                gone.append(run)
                users.subtract(self._needs[run.id])
                size -= sum(self._size(digest) for digest in self._needs[run.id] if users[digest] == 0)
        return gone

    def _families(self, going: list[RunRecord]) -> list[list[RunRecord]]:
        """Return the runs in groups that lead to each other; the group whose newest run is oldest comes first."""
        among = {run.id for run in going}
        family = {run: {run} for run in among}
        for run in going:
            for other in self._leads_to(run):
                if other in among and family[other] is not family[run.id]:
                    family[run.id] |= family[other]
                    family.update(dict.fromkeys(family[run.id], family[run.id]))
        groups = {max(members): sorted(members) for members in family.values()}
        return [[self.runs[run] for run in groups[newest]] for newest in sorted(groups)]

    def told(self, run: RunRecord, doomed: list[RunRecord]) -> DoomedRun:
        """Return what people want to know before a run goes."""
        gone = {each.id for each in doomed}
        others = self.needed(gone)
        size = sum(self._size(digest) for digest in self._needs[run.id] if digest not in others)
        took = sum(took.total_ms for took in self._home.database.tasks.took(run.id))
        can_rebuild = _pin_is_there(self._home, run)
        return DoomedRun(run.id, run.workflow, run.state, run.ended_ms, size, took, can_rebuild)

    # -- blobs ------------------------------------------------------------------------------------------

    def needed(self, gone: Iterable[str]) -> set[str]:
        """Return the digests that runs need, but for those that are gone."""
        return set().union(*(needs for run, needs in self._needs.items() if run not in set(gone)))

    def _size(self, digest: str) -> int:
        blob = self.blobs.get(digest)
        return 0 if blob is None else blob.size_bytes

    def sweep_all(self, gone: Iterable[str], told: list[DoomedRun], *, dry_run: bool) -> GcReport:
        """Delete the blobs that no run needs any more, half-written files, and checkpoints that are of no use."""
        home, gone = self._home, set(gone)
        needed = self.needed(gone) if dry_run else needed_now(home)
        if dry_run:
            old = [blob for blob in self.blobs.values() if blob.modified_ms <= self.before_ms]
            swept = [blob for blob in old if blob.digest not in needed]
        else:
            swept = [blob for blob in sweep(home.blobs, needed, self.before_ms) if blob is not None]
        leftovers = [*home.blobs.list_leftovers(self.before_ms), *_useless_checkpoints(home, gone)]
        for path, _ in leftovers if not dry_run else ():
            Path(path).unlink(missing_ok=True)
        return GcReport(
            len(swept) + len(leftovers),
            sum(blob.size_bytes for blob in swept) + sum(size for _, size in leftovers),
            len(self.blobs) - len(swept),
            dry_run,
            told,
        )


def sweep(blobs: BlobStore, needed: set[str], before_ms: int) -> Iterator[BlobInfo | None]:
    """Delete what is not needed and was last wanted before ``before_ms``; yield each blob that went.

    Before a deletion, and between its halves, it yields None: whatever others do then must be safe.
    """
    for blob in list(blobs.list_blobs()):
        if blob.digest in needed or blob.modified_ms > before_ms:
            # A sweep that died may have hidden it.
            blobs.drop_hidden(blob.digest, before_ms=-1)
            continue
        yield None
        blobs.hide(blob.digest)
        yield None
        if blobs.drop_hidden(blob.digest, before_ms):
            yield blob


def _spared_from_ms(home: Home) -> int:
    """Return since when a blob must have been wanted to be spared.

    A run that somebody drives, or may still drive, refers late to what its tasks put: all since it began is spared.
    """
    now_ms = home.clock.now_ms()
    driven = [
        run.started_ms - _TICK_MS
        for state in ("running", "failing", "cancelling")
        for run in _all_runs(home, state)
        if run.owner is not None and not is_dead(run.owner) and run.lease_until_ms > now_ms - _SILENCE_MS
    ]
    return min([now_ms - GRACE_MS, *driven])


def needed_now(home: Home) -> set[str]:
    """Return the digests of all blobs that any run needs."""
    referred = set(home.database.references.digests())
    return referred.union(*(needs_of(home, run) for run in _all_runs(home)))


def needs_of(home: Home, run: RunRecord) -> set[str]:
    """Return the digests of all blobs that a run needs: artifacts, their parts, and archived code."""
    launch = home.launch(run)
    artifacts = [output.artifact for output in launch.given]
    artifacts += [
        Artifact(reference.digest, reference.codec, reference.size_bytes)
        for reference in home.database.references.of_run(run.id)
    ]
    needed: set[str] = set()
    for artifact in artifacts:
        if artifact.inline is None:
            needed.add(artifact.digest)
            # Of one that is gone or damaged nobody knows the parts, and nobody can use them.
            with suppress(StoredDataError):
                needed.update(home.store.parts(artifact))
    if launch.pin is not None:
        needed |= {launch.pin.archive.digest} if launch.pin.archive.inline is None else set()
        with suppress(StoredDataError):
            needed.update(archive_homes(launch.pin, home.blobs))
    return needed


def _pin_is_there(home: Home, run: RunRecord) -> bool:
    pin = home.launch(run).pin
    if pin is None or pin.is_cut_off:
        return False
    with suppress(StoredDataError):
        return all(map(home.blobs.exists, archive_homes(pin, home.blobs)))
    return False


def _delete_runs(home: Home, doomed: list[RunRecord]) -> set[str]:
    """Delete runs with their logs and files; what somebody took up meanwhile stays."""
    gone = set()
    for run in doomed:
        with suppress(RunBusy, RunNotFound):
            home.database.runs.delete(run.id)
            gone.add(run.id)
            for name in _FOLDERS:
                shutil.rmtree(home.folder(name) / run.id, ignore_errors=True)
    return gone


def _useless_checkpoints(home: Home, gone: set[str]) -> list[tuple[str, int]]:
    """Return the checkpoint files of runs that have succeeded, or that a run which succeeded continued, or that
    are gone; and their sizes."""
    useful = {run.id for run in _all_runs(home) if not _has_succeeded(home, run)} - gone
    found = []
    for folder in home.folder("checkpoints").glob("*/"):
        for place, _, names in os.walk(folder) if folder.name not in useful else ():
            for path in (os.path.join(place, name) for name in names):
                with suppress(FileNotFoundError):  # another collector was quicker
                    found.append((path, os.stat(path).st_size))
    return found


def _has_succeeded(home: Home, run: RunRecord) -> bool:
    resumed = home.database.runs.resumed_as(run.id)
    return run.state == "succeeded" or any(_has_succeeded(home, each) for each in resumed)


def _all_runs(home: Home, state: str | None = None) -> Iterator[RunRecord]:
    cursor = None
    while True:
        page = home.database.runs.list_runs(state=state, limit=500, cursor=cursor)  # type: ignore[arg-type]
        yield from page.runs
        cursor = page.cursor
        if cursor is None:
            return

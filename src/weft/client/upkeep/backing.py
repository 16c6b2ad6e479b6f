"""``weft backup`` and ``weft restore``: a home copied, whole, to another folder, while runs go on in it.

The copy is a home itself: its database as it stood at one moment, and every blob that this database refers to. It is
made beside its place and renamed last, so that a backup is complete or is not there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from weft.client.home import Home
from weft.client.upkeep.collecting import needed_now
from weft.errors import UserError
from weft.settings import Settings
from weft.store.durable import TEMPORARY, sync_folder
from weft.store.faults import MissingArtifact

DATABASE = "weft.db"
_TRIES = 5


class BadBackupPlace(UserError):
    """A backup cannot be made there, or is none."""

    code = "bad-backup-place"


class BackupReport(msgspec.Struct, frozen=True):
    """What was copied. ``missing``: digests of blobs that the database refers to, and that are gone in the home too."""

    folder: str
    runs: int
    blobs: int
    size_bytes: int
    missing: list[str] = []


def back_up(home: Home, folder: Path, *, link: bool = True) -> BackupReport:
    """Copy a home to ``folder``, which must not be there, or be empty.

    Args:
        link: blobs become second names of the same files where the disk is the same: quick, and without space. They
            never change. False: copies, as a guard against damage of the disk.

    Raises:
        BadBackupPlace: something is there, or it lies inside the home.
        NoCopyOfDatabase: the database is no file.
        MissingArtifact: content went away while it was copied, each time that it was tried.
    """
    folder = Path(os.path.abspath(folder))
    _refuse_place(home, folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        report = _copy(home, part, link)
        with suppress(FileNotFoundError):
            folder.rmdir()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_folder(str(folder.parent))
    return msgspec.structs.replace(report, folder=str(folder))


def restore(folder: Path, home: Home, *, link: bool = True) -> BackupReport:
    """Copy a backup to where ``home`` has its files, which must be none; the backup stays as it is.

    Raises:
        BadBackupPlace: ``folder`` is no backup, or there is something in the home already.
        NoCopyOfDatabase: the home's database is no file of its own.
    """
    if not (folder / DATABASE).is_file():
        raise BadBackupPlace(
            f"{folder} is no backup: it has no {DATABASE}", hint="Name the folder of `weft backup`."
        )
    if home.settings.database:
        raise BadBackupPlace(
            f"the home {home.settings.home} has its database elsewhere: {home.settings.database}",
            hint="Restore into a home of its own: leave `database` out of the settings, or set WEFT_HOME.",
        )
    return back_up(Home(Settings(home=Path(os.path.abspath(folder)))), home.settings.home, link=link)


def _refuse_place(home: Home, folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadBackupPlace(
            f"{folder} is there already, and is not empty", hint="Name a folder that is not there."
        )
    source = Path(os.path.abspath(home.settings.home))
    if source in (folder, *folder.parents):
        raise BadBackupPlace(f"{folder} lies inside the home {source}", hint="Name a folder outside it.")


def _copy(home: Home, part: Path, link: bool) -> BackupReport:
    for _ in range(_TRIES):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _copy_checkpoints(home, part)
        _copy_tree(home.folder("logs"), part / "logs")
        home.database.engine.copy_to(str(part / DATABASE))
        copy = Home(Settings(home=part))
        try:
            missing, size = _copy_blobs(home, copy, link)
            # In the copy nobody drives a run: whoever drives it here goes on here.
            copy.database.runs.disown_all()
            runs = copy.database.runs.count()
        finally:
            copy.database.close()
        # What is gone, though the home still needs it, was damaged before; the rest went to a sweep meanwhile.
        if not missing or missing <= needed_now(home):
            break
    else:
        raise MissingArtifact(min(missing), str(home.blobs.folder))
    _sync_tree(part)
    return BackupReport(str(part), runs, len(list(copy.blobs.list_blobs())), size, sorted(missing))


def _copy_blobs(home: Home, copy: Home, link: bool) -> tuple[set[str], int]:
    """Give the copy all blobs that its database refers to; return those that are not there, and the size of all."""
    missing: set[str] = set()
    known: set[str] = set()
    size = 0
    # What an artifact consists of is read from the copy, so each round may ask for more.
    while wanted := needed_now(copy) - known:
        for digest in sorted(wanted):
            taken = home.blobs.share(digest, copy.blobs, link=link)
            size += taken or 0
            missing |= {digest} if taken is None else set()
        known |= wanted
    return missing, size


def _copy_checkpoints(home: Home, part: Path) -> None:
    folder = home.folder("checkpoints")
    for shelf in sorted(folder.glob("*/*/")):
        # Whoever saves a checkpoint holds this lock while older ones go; of a run that is deleted all goes.
        with suppress(FileNotFoundError), _locked(shelf):
            _copy_tree(shelf, part / "checkpoints" / shelf.relative_to(folder))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)


def _copy_tree(source: Path, target: Path) -> None:
    """Copy files that may grow or go away meanwhile; what is half written is left out."""
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        for name in names:
            if not name.endswith(TEMPORARY):
                place.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    shutil.copy2(os.path.join(folder, name), place / name)


def _sync_tree(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            sync_folder(str(path))
        else:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from weft.digest import digest_bytes
from weft.store import project
from weft.store.blobs import FileBlobStore, MemoryBlobStore
from weft.store.faults import DamagedArtifact, MissingArtifact
from weft.store.project import (
    ARCHIVE_CODEC,
    CodePin,
    DamagedArchive,
    archive_homes,
    archived_files,
    pin_project,
    restore_project,
)
from weft.store.project_files import find_commit, loaded_files, project_files, project_root

LONG = "x = 1\n" * 2000  # more than fits into a row


class CountingBlobs(MemoryBlobStore):
    """A store that remembers how much was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.put_bytes: list[int] = []

    def put(self, content: Any, digest: str = "") -> str:
        self.put_bytes.append(sum(len(part) for part in content))
        return super().put(content, digest)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    write(root, "pyproject.toml", "[project]\n")
    write(root, "flights.py", LONG)
    write(root, "package/__init__.py", "")
    write(root, "package/deep/steps.py", "y = 2\n")
    return root


@pytest.fixture
def blobs() -> CountingBlobs:
    return CountingBlobs()


def write(root: Path, path: str, text: str, *, age_s: float = 60) -> None:
    """Write a file as it was written ``age_s`` ago, so that its time tells it from the next edit."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    changed = time.time() - age_s
    os.utime(target, (changed, changed))


def paths(root: Path, **options: Any) -> list[str]:
    return [file.path for file in project_files(root, **options)[0]]


def restored(pin: CodePin, blobs: Any, folder: Path) -> dict[str, str]:
    restore_project(pin, blobs, folder)
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def contents(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


# Which files.


def test_the_root_is_the_nearest_marked_folder(root: Path, tmp_path: Path) -> None:
    assert project_root(root / "package" / "deep" / "steps.py") == root
    assert project_root(root / "flights.py") == root
    (root / "package" / "weft.toml").touch()
    assert project_root(root / "package" / "deep" / "steps.py") == root / "package"
    assert project_root("/proc/version") == Path("/proc")


def test_code_and_settings_are_the_project_and_nothing_hidden_or_made(root: Path) -> None:
    taken = ["conf/model.yaml", "sql/load.sql", "types.pyi", "uv.lock"]
    left = [
        ".git/config.py", ".venv/lib/a.py", "node_modules/a.py", "__pycache__/a.py", "build/a.py", "a.egg-info/b.py",
        ".env", ".hidden.py", "my_secrets.json", "gcp-credentials.json", "data.csv", "notes.md", "a.pyc",
    ]  # fmt: skip
    for path in (*taken, *left):
        write(root, path, "text")
    write(root, "my_env/pyvenv.cfg", "")
    write(root, "my_env/a.py", "")
    write(root, "large.json", " " * ((1 << 20) + 1))
    write(root, "large.py", " " * ((1 << 20) + 1))
    expected = [
        "flights.py",
        "large.py",
        "package/__init__.py",
        "package/deep/steps.py",
        "pyproject.toml",
        *taken,
    ]
    assert paths(root) == sorted(expected)


def test_without_a_marker_only_packages_are_looked_into(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for path in ("flow.py", "package/__init__.py", "package/a.py", "music/b.py"):
        write(home, path, "")
    assert paths(home) == ["flow.py", "package/__init__.py", "package/a.py"]


def test_a_file_that_is_used_counts_wherever_it_lies_in_the_root(root: Path, tmp_path: Path) -> None:
    write(root, "build/made.py", "")
    write(tmp_path, "outside.py", "")
    used = [root / "build/made.py", tmp_path / "outside.py", root / "gone.py"]
    assert "build/made.py" in paths(root, used=used)
    assert len(paths(root, used=used)) == 5


def test_a_used_file_is_one_file_by_whichever_path_it_is_named(root: Path, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere"
    there.symlink_to(root)
    plain = paths(root)
    assert paths(root, used=[root / plain[0], there / plain[0], f"{root}/package/../{plain[0]}"]) == plain


def test_a_folder_of_data_is_not_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weft.store.project_files.FOLDER_ENTRIES_MAX", 5)
    for index in range(6):
        write(root, f"data/{index}.json", "")
    assert not [path for path in paths(root) if path.startswith("data")]


@pytest.mark.parametrize("bound", ["FILES_MAX", "ENTRIES_MAX"])
def test_a_bound_cuts_off_and_says_so(root: Path, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_files(root)[1] is False
    monkeypatch.setattr(f"weft.store.project_files.{bound}", 3)
    files, is_cut_off = project_files(root)
    assert is_cut_off
    assert len(files) <= 3
    assert pin_project(root, MemoryBlobStore()).is_cut_off


def test_links_to_folders_are_not_followed(root: Path) -> None:
    (root / "package" / "again").symlink_to(root)
    assert len(paths(root)) == 4


def test_the_loaded_modules_of_the_project_are_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys, pathlib, package.deep.steps, json\n"
        "from weft.store.project_files import loaded_files\n"
        "print(json.dumps(loaded_files(pathlib.Path(sys.argv[1]))))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], cwd=root, capture_output=True, check=True)
    expected = [str(root / "package/__init__.py"), str(root / "package/deep/steps.py")]
    assert json.loads(done.stdout) == expected
    assert loaded_files(root) == []


# The archive.


def test_a_pin_gives_back_every_file(root: Path, blobs: CountingBlobs, tmp_path: Path) -> None:
    (root / "package" / "bytes.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe9'\r\n")
    pin = pin_project(root, blobs)
    restore_project(pin, blobs, tmp_path / "again")
    assert (tmp_path / "again/package/bytes.py").read_bytes() == (root / "package/bytes.py").read_bytes()
    assert (tmp_path / "again/flights.py").read_text() == LONG
    assert (pin.kind, pin.commit, pin.root, pin.files_count) == ("files", None, "project", 5)
    assert pin.archive.codec == ARCHIVE_CODEC
    assert archived_files(pin, blobs)["flights.py"].digest == digest_bytes(LONG.encode())


def test_a_small_project_fits_into_the_row(tmp_path: Path, blobs: CountingBlobs) -> None:
    root = tmp_path / "small"
    write(root, "flow.py", "x = 1\n")
    pin = pin_project(root, blobs)
    assert pin.archive.inline is not None
    assert blobs.put_bytes == []
    assert archive_homes(pin, blobs) == set()
    assert restored(pin, blobs, tmp_path / "again") == {"flow.py": "x = 1\n"}


def test_a_small_project_may_grow(tmp_path: Path, blobs: CountingBlobs) -> None:
    root = tmp_path / "small"
    write(root, "flow.py", "x = 1\n")
    pin_project(root, blobs, cache_folder=tmp_path / "cache")
    write(root, "long.py", LONG)
    pin = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    assert restored(pin, blobs, tmp_path / "again") == contents(root)


def test_an_unchanged_project_costs_nothing(
    root: Path, blobs: CountingBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    monkeypatch.setattr(Path, "read_bytes", refuse_but(Path.read_bytes, "msgpack"))
    assert pin_project(root, blobs, cache_folder=tmp_path / "cache") == first
    assert len(blobs.put_bytes) == 1


def refuse_but(read: Any, suffix: str) -> Any:
    def read_bytes(path: Path) -> bytes:
        assert path.name.endswith(suffix), f"{path} was read"
        return bytes(read(path))

    return read_bytes


def test_a_changed_file_costs_its_own_size(root: Path, blobs: CountingBlobs, tmp_path: Path) -> None:
    first = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    write(root, "package/deep/steps.py", "y = 3\n", age_s=50)
    second = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    assert second.archive.digest != first.archive.digest
    assert blobs.put_bytes[1:] == [] or blobs.put_bytes[1] < 1000
    assert first.archive.digest in archive_homes(second, blobs)
    assert restored(second, blobs, tmp_path / "second") == contents(root)
    assert restored(first, blobs, tmp_path / "first")["package/deep/steps.py"] == "y = 2\n"


def test_a_file_that_went_away_is_not_in_the_next_archive(
    root: Path, blobs: CountingBlobs, tmp_path: Path
) -> None:
    pin_project(root, blobs, cache_folder=tmp_path / "cache")
    (root / "package/deep/steps.py").unlink()
    second = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    assert "package/deep/steps.py" not in archived_files(second, blobs)


def test_the_archive_does_not_depend_on_the_cache(root: Path, tmp_path: Path) -> None:
    with_cache, without = MemoryBlobStore(), MemoryBlobStore()
    one = pin_project(root, with_cache, cache_folder=tmp_path / "cache")
    assert one == pin_project(root, without)


def test_content_that_was_deleted_is_archived_again(root: Path, tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    first = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    write(root, "package/deep/steps.py", LONG.replace("x", "z"), age_s=50)
    pin_project(root, blobs, cache_folder=tmp_path / "cache")
    blobs.delete(first.archive.digest)
    write(root, "package/deep/steps.py", "y = 4\n", age_s=40)
    third = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    assert restored(third, blobs, tmp_path / "third") == contents(root)
    for digest in archive_homes(third, blobs):
        blobs.delete(digest)
    again = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    assert restored(again, blobs, tmp_path / "again") == contents(root)


def test_a_long_history_of_edits_needs_few_blobs(root: Path, tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    for index in range(40):
        write(root, f"package/m{index}.py", LONG + f"i = {index}\n", age_s=1000 - index)
        pin = pin_project(root, blobs, cache_folder=tmp_path / "cache")
        assert len(archive_homes(pin, blobs)) <= 18
    assert restored(pin, blobs, tmp_path / "again") == contents(root)


def test_an_edit_in_the_same_tick_is_seen(root: Path, blobs: CountingBlobs, tmp_path: Path) -> None:
    status = (root / "package/deep/steps.py").stat()
    now = time.time_ns()
    os.utime(root / "package/deep/steps.py", ns=(now, now))
    pin_project(root, blobs, cache_folder=tmp_path / "cache")
    (root / "package/deep/steps.py").write_text("y = 9\n")
    os.utime(root / "package/deep/steps.py", ns=(now, now))
    assert (root / "package/deep/steps.py").stat().st_size == status.st_size
    second = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    assert restored(second, blobs, tmp_path / "again")["package/deep/steps.py"] == "y = 9\n"


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\x81\xa5files\x01"])
def test_a_damaged_cache_is_an_empty_one(root: Path, tmp_path: Path, damage: bytes) -> None:
    blobs = MemoryBlobStore()
    first = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    (cache,) = (tmp_path / "cache").iterdir()
    cache.write_bytes(damage)
    assert pin_project(root, blobs, cache_folder=tmp_path / "cache") == first


def test_a_cache_that_cannot_be_written_is_done_without(root: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    pin_project(root, MemoryBlobStore(), cache_folder=tmp_path / "cache")


def test_a_damaged_archive_is_found(root: Path, tmp_path: Path) -> None:
    blobs = FileBlobStore(tmp_path / "blobs")
    pin = pin_project(root, blobs)
    (file,) = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.chmod(0o600)
    file.write_bytes(raw)
    with pytest.raises(DamagedArtifact):
        restore_project(pin, FileBlobStore(tmp_path / "blobs"), tmp_path / "again")
    file.unlink()
    with pytest.raises(MissingArtifact):
        restore_project(pin, FileBlobStore(tmp_path / "blobs"), tmp_path / "again")


@pytest.mark.parametrize("path", ["../evil.py", "/tmp/evil.py", "a/../../evil.py", "a//b.py", ""])
def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path, path: str) -> None:
    import msgspec

    from weft.model.values import Artifact

    digest = digest_bytes(b"x")
    raw = msgspec.msgpack.encode({"files": {path: [digest, 1, ""]}, "contents": {digest: b"x"}})
    archive = Artifact(digest_bytes(raw), ARCHIVE_CODEC, len(raw), raw)
    pin = CodePin("files", None, "p", archive, 1, 1)
    with pytest.raises(DamagedArchive, match="outside the project"):
        restore_project(pin, MemoryBlobStore(), tmp_path / "folder")


def test_content_under_a_wrong_digest_is_not_written(tmp_path: Path) -> None:
    import msgspec

    from weft.model.values import Artifact

    digest = digest_bytes(b"x")
    raw = msgspec.msgpack.encode({"files": {"a.py": [digest, 1, ""]}, "contents": {digest: b"y"}})
    pin = CodePin("files", None, "p", Artifact(digest_bytes(raw), ARCHIVE_CODEC, len(raw), raw), 1, 1)
    with pytest.raises(DamagedArchive, match=r"a\.py"):
        restore_project(pin, MemoryBlobStore(), tmp_path)
    garbage = CodePin("files", None, "p", Artifact("b3:0", ARCHIVE_CODEC, 1, b"\xc1"), 1, 1)
    with pytest.raises(DamagedArchive, match="no archive"):
        restore_project(garbage, MemoryBlobStore(), tmp_path)


def test_a_warm_project_is_pinned_without_reading_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    write(root, "pyproject.toml", "")
    for index in range(100):
        write(root, f"package{index % 10}/module{index}.py", LONG)
    blobs = FileBlobStore(tmp_path / "blobs")
    first = pin_project(root, blobs, cache_folder=tmp_path / "cache")
    read: list[str] = []
    monkeypatch.setattr(project, "_content", lambda _root, path: read.append(path))
    assert pin_project(root, blobs, cache_folder=tmp_path / "cache") == first
    assert read == []
    pin_project(root, blobs)  # without a cache, all are
    assert len(read) >= 100


# Git.


def git(folder: Path, *command: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main", *command],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(root: Path) -> Path:
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_the_commit_is_the_one_that_git_names(repository: Path, tmp_path: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert find_commit(repository) == head
    assert find_commit(repository / "package") == head
    pin = pin_project(repository, MemoryBlobStore())
    assert (pin.kind, pin.commit) == ("git", head)


def test_the_commit_is_found_in_packed_references(repository: Path) -> None:
    git(repository, "branch", "other")
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git/refs/heads/main").exists()
    assert find_commit(repository) == git(repository, "rev-parse", "HEAD")


def test_the_commit_of_a_detached_head_is_found(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "--detach")
    assert find_commit(repository) == head


@pytest.mark.parametrize("packed", [False, True])
def test_the_commit_of_a_work_tree_is_its_own(repository: Path, tmp_path: Path, packed: bool) -> None:
    tree = tmp_path / "tree"
    git(repository, "worktree", "add", "-qb", "side", str(tree))
    (tree / "flights.py").write_text("x = 2\n")
    git(tree, "commit", "-qam", "second")
    if packed:
        git(repository, "pack-refs", "--all")
    assert find_commit(tree) == git(tree, "rev-parse", "HEAD") != find_commit(repository)


def test_a_repository_without_a_commit_has_none(root: Path) -> None:
    git(root, "init", "-q")
    assert find_commit(root) is None
    assert pin_project(root, MemoryBlobStore()).kind == "files"


def test_a_commit_does_not_change_the_archive(repository: Path, tmp_path: Path) -> None:
    blobs = MemoryBlobStore()
    first = pin_project(repository, blobs)
    git(repository, "commit", "-qm", "empty", "--allow-empty")
    second = pin_project(repository, blobs)
    assert second.archive == first.archive
    assert second.commit != first.commit


def test_the_home_of_the_runs_is_no_part_of_the_project(root, tmp_path):
    home = root / "runs"
    before = pin_project(root, MemoryBlobStore(), skipped=home)
    (home / "code").mkdir(parents=True)
    (home / "weft.db.lock").touch()
    (home / "code" / "old.py").write_text("x = 1\n")
    assert pin_project(root, MemoryBlobStore(), skipped=home) == before
    assert pin_project(root, MemoryBlobStore()) != before

"""All blob stores keep one contract; the one on files keeps more, since others share the folder and disks fail."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from weft.digest import digest_bytes
from weft.errors import DiskFull
from weft.store import blobs
from weft.store.blobs import BlobStore, FileBlobStore, MemoryBlobStore
from weft.store.faults import DamagedArtifact, MissingArtifact, StoreNotWritable

LARGE = bytes(range(256)) * 4096


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobStore() if request.param == "memory" else FileBlobStore(tmp_path / "artifacts")


@pytest.fixture
def files(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path / "artifacts")


def path_of(store: FileBlobStore, digest: str) -> Path:
    name = digest.removeprefix("b3:")
    return store.folder / name[:2] / name


@pytest.mark.parametrize("content", [b"", b"a", LARGE, LARGE * 4])
def test_what_is_put_is_mapped(store: BlobStore, content: bytes) -> None:
    digest = store.put([content])
    assert digest == digest_bytes(content)
    assert bytes(store.map(digest)) == content


def test_buffers_are_stored_as_one(store: BlobStore) -> None:
    parts = [b"a", memoryview(bytearray(b"bc")), b"", LARGE, *[b"x"] * 3000]
    digest = store.put(parts)
    assert digest == digest_bytes(b"".join(parts))
    assert bytes(store.map(digest)) == b"".join(parts)


def test_put_twice_gives_one_name(store: BlobStore) -> None:
    assert store.put([b"one"]) == store.put([b"o", b"ne"])
    assert [info.digest for info in store.list_blobs()] == [digest_bytes(b"one")]


def test_writes_to_a_map_reach_nobody(store: BlobStore) -> None:
    digest = store.put([LARGE])
    first = store.map(digest)
    first[0] = 77
    assert bytes(store.map(digest)) == LARGE
    store.verify(digest)


def test_a_missing_blob_is_named(store: BlobStore) -> None:
    digest = digest_bytes(b"never put")
    assert not store.exists(digest)
    for read in (store.map, store.verify):
        with pytest.raises(MissingArtifact, match=digest):
            read(digest)


def test_a_deleted_blob_is_gone_but_its_map_stays(store: BlobStore) -> None:
    digest = store.put([LARGE])
    view = store.map(digest)
    store.delete(digest)
    store.delete(digest)
    assert not store.exists(digest)
    assert list(store.list_blobs()) == []
    assert bytes(view) == LARGE


def test_listing_gives_sizes(store: BlobStore) -> None:
    sizes = {store.put([b"x" * size]): size for size in (0, 10, 100_000)}
    assert {info.digest: info.size_bytes for info in store.list_blobs()} == sizes


def test_a_fresh_store_is_empty(store: BlobStore) -> None:
    assert list(store.list_blobs()) == []


def test_a_file_is_named_by_its_plain_hash(files: FileBlobStore) -> None:
    digest = files.put([b"abc"])
    assert path_of(files, digest).read_bytes() == b"abc"


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-1], lambda content: b"\xff" + content[1:], lambda content: b""],
    ids=["truncated", "changed", "emptied"],
)
@pytest.mark.parametrize("content", [b"small", LARGE], ids=["read", "mapped"])
def test_a_damaged_file_is_detected_at_first_reading(files: FileBlobStore, damage, content: bytes) -> None:
    path = path_of(files, files.put([content]))
    path.write_bytes(damage(content))
    with pytest.raises(DamagedArtifact, match=path.name) as caught:
        FileBlobStore(files.folder).map(digest_bytes(content))
    assert str(path) in str(caught.value)


def test_verify_reads_again_what_was_read_before(files: FileBlobStore) -> None:
    digest = files.put([LARGE])
    files.map(digest)
    with path_of(files, digest).open("r+b") as file:
        file.write(b"\xff")
    with pytest.raises(DamagedArtifact):
        files.verify(digest)


def test_a_file_is_hashed_once_a_process(files: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = files.put([LARGE[: 1 << 17]])
    reader = FileBlobStore(files.folder)
    hashed = []
    monkeypatch.setattr(blobs, "digest_bytes", lambda content: hashed.append(1) or digest_bytes(content))
    reader.map(digest)
    reader.map(digest)
    files.map(digest)  # the process that wrote it has hashed it already
    assert hashed == [1]


def test_the_memory_of_checked_files_is_bounded(
    files: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_CHECKED_MAX", 3)
    for number in range(10):
        files.put([b"%d" % number])
    assert len(files._checked) <= 3


def test_putting_again_repairs_a_truncated_file(files: FileBlobStore) -> None:
    digest = files.put([LARGE])
    path_of(files, digest).write_bytes(b"short")
    files.put([LARGE])
    files.verify(digest)


def test_putting_again_writes_nothing_but_the_time(files: FileBlobStore) -> None:
    path = path_of(files, files.put([LARGE]))
    os.utime(path, (1, 1))
    before = path.stat()
    files.put([LARGE])
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime > before.st_mtime


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_nothing_behind(
    files: FileBlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(DiskFull, match="artifacts"):
            files.put([LARGE])
    assert [path for path in files.folder.rglob("*") if path.is_file()] == []
    files.put([LARGE])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(files: FileBlobStore) -> None:
    files.folder.mkdir()
    files.folder.chmod(0o500)
    with pytest.raises(StoreNotWritable, match=str(files.folder)):
        files.put([b"x"])


def test_a_refusal_to_write_is_told_from_a_fault(
    files: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "writev", refuse)
    with pytest.raises(StoreNotWritable, match="Permission denied"):
        files.put([b"x"])


def test_short_writes_are_continued(files: FileBlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.writev
    monkeypatch.setattr(os, "writev", lambda file, views: real(file, [views[0][:7]]))
    content = [b"hello ", b"", b"long " * 20, b"end"]
    digest = files.put(content)
    assert path_of(files, digest).read_bytes() == b"".join(content)


KILLED = """
import os, signal, sys
from pathlib import Path
from weft.store.blobs import FileBlobStore
os.rename = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
FileBlobStore(Path(sys.argv[1])).put([b"x" * 100_000])
"""


def test_a_kill_before_the_rename_leaves_nothing_visible(files: FileBlobStore) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(files.folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    digest = digest_bytes(b"x" * 100_000)
    assert not files.exists(digest)
    assert list(files.list_blobs()) == []
    (left,) = [path for path in files.folder.rglob("*") if path.is_file()]

    left_ms = left.stat().st_mtime_ns // 1_000_000
    assert files.delete_leftovers(before_ms=left_ms) == 0
    assert files.delete_leftovers(before_ms=left_ms + 1) == 1
    assert not left.exists()
    assert files.put([b"x" * 100_000]) == digest


def test_the_file_is_synced_before_it_gets_its_name(
    files: FileBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.put([b"makes the folder of this blob's neighbours"])
    calls: list[str] = []
    for name in ("writev", "fsync", "rename"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, n=name, r=real: calls.append(n) or r(*args))
    files._make_folder(str(path_of(files, digest_bytes(LARGE)).parent))
    calls.clear()
    files.put([LARGE])
    assert calls == ["writev", "fsync", "rename", "fsync"]


def test_two_writers_of_one_content_agree(files: FileBlobStore) -> None:
    gate = threading.Barrier(8)
    digests: list[str] = []

    def write(store: FileBlobStore) -> None:
        gate.wait()
        digests.append(store.put([LARGE, b"shared"]))

    threads = [threading.Thread(target=write, args=(FileBlobStore(files.folder),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(digests)) == 1
    assert len(digests) == 8
    assert len(list(files.list_blobs())) == 1
    files.verify(digests[0])


def test_a_large_blob_is_hashed_once_on_a_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = FileBlobStore(tmp_path).put([os.urandom(1 << 21)])
    hashed: list[int] = []
    monkeypatch.setattr("weft.store.blobs.digest_bytes", lambda content: hashed.append(1) or digest)
    FileBlobStore(tmp_path).map(digest)
    FileBlobStore(tmp_path).map(digest)
    assert hashed == []
    FileBlobStore(tmp_path).verify(digest)
    assert hashed == [1]


def test_a_large_blob_changed_by_one_byte_is_found_by_another_process(tmp_path: Path) -> None:
    digest = FileBlobStore(tmp_path).put([bytes(1 << 21)])
    (path,) = [file for file in tmp_path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DamagedArtifact):
        FileBlobStore(tmp_path).map(digest)

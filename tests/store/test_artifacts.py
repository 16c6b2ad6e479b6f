"""Small values travel inside the artifact, large ones as blobs; what is damaged is found, never used."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from weft.digest import digest_bytes
from weft.model.values import INLINE_BYTES_MAX, Artifact
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore, MemoryBlobStore
from weft.store.faults import DamagedArtifact, MissingArtifact, Unstorable

LARGE = 1 << 18


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobStore:
    return FileBlobStore(tmp_path)


@pytest.fixture
def store(blobs: FileBlobStore) -> ArtifactStore:
    return ArtifactStore(blobs)


@pytest.mark.parametrize("make", [lambda size: b"x" * (size - 3), lambda size: np.zeros(size - 128, "u1")])
def test_values_up_to_the_bound_are_inline(store: ArtifactStore, blobs: FileBlobStore, make: Any) -> None:
    largest = store.put(make(INLINE_BYTES_MAX))
    assert largest.size_bytes == INLINE_BYTES_MAX
    assert largest.inline is not None
    assert list(blobs.list_blobs()) == []
    larger = store.put(make(INLINE_BYTES_MAX + 1))
    assert larger.inline is None
    assert [info.digest for info in blobs.list_blobs()] == [larger.digest]


def test_an_artifact_survives_the_wire(store: ArtifactStore) -> None:
    artifact = store.put({"a": (1, 2)})
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(artifact), type=Artifact)
    assert store.get(again) == {"a": (1, 2)}


def test_a_digest_is_the_hash_of_content_and_codec(store: ArtifactStore) -> None:
    artifact = store.put(7)
    assert artifact.inline == b"\x07"
    assert artifact.digest == digest_bytes(b"\x07\nweft:plain")


def test_a_blob_is_named_by_the_hash_of_its_file(store: ArtifactStore, blobs: FileBlobStore) -> None:
    store.put([np.arange(LARGE), "x" * 10_000])
    for info in blobs.list_blobs():
        name = info.digest.removeprefix("b3:")
        assert digest_bytes((blobs.folder / name[:2] / name).read_bytes()) == info.digest


def test_each_get_gives_a_value_of_its_own(store: ArtifactStore) -> None:
    for value in ([1], {"a": {1}}, ["x" * 10_000]):
        artifact = store.put(value)
        assert store.get(artifact) is not store.get(artifact)


def test_unchanged_content_is_not_written_again() -> None:
    blobs = MemoryBlobStore()
    store = ArtifactStore(blobs)
    for _ in range(3):
        store.put({"frames": [np.arange(LARGE), np.zeros(LARGE)]})
    assert blobs.puts == 3


def test_parts_are_there_before_what_refers_to_them() -> None:
    order: list[str] = []

    class Watched(MemoryBlobStore):
        def put(self, content: Any, digest: str = "") -> str:
            order.append(super().put(content, digest))
            return order[-1]

    store = ArtifactStore(Watched())
    artifact = store.put([np.arange(LARGE), np.zeros(LARGE)])
    assert order == [*store.parts(artifact), artifact.digest]


def damage(blobs: FileBlobStore, digest: str) -> None:
    name = digest.removeprefix("b3:")
    with (blobs.folder / name[:2] / name).open("r+b") as file:
        file.seek(-40, os.SEEK_END)
        file.write(b"\xff\xfe")


@pytest.mark.parametrize("value", ["x" * 10_000, np.arange(LARGE), {"a": {1, 2}, "b": "y" * 10_000}])
def test_a_damaged_blob_is_never_used(store: ArtifactStore, blobs: FileBlobStore, value: Any) -> None:
    artifact = store.put(value)
    damage(blobs, artifact.digest)
    with pytest.raises(DamagedArtifact, match=artifact.digest):
        ArtifactStore(FileBlobStore(blobs.folder)).get(artifact)
    with pytest.raises(DamagedArtifact):
        store.verify(artifact)


def test_a_damaged_part_is_never_used(store: ArtifactStore, blobs: FileBlobStore) -> None:
    artifact = store.put([np.arange(LARGE)])
    (part,) = store.parts(artifact)
    damage(blobs, part)
    with pytest.raises(DamagedArtifact, match=part):
        ArtifactStore(FileBlobStore(blobs.folder)).get(artifact)
    with pytest.raises(DamagedArtifact, match=part):
        store.verify(artifact)


def test_a_missing_blob_or_part_is_noticed(store: ArtifactStore, blobs: FileBlobStore) -> None:
    artifact = store.put([np.arange(LARGE)])
    assert store.exists(artifact)
    (part,) = store.parts(artifact)
    blobs.delete(part)
    assert not store.exists(artifact)
    with pytest.raises(MissingArtifact, match=part):
        store.get(artifact)
    blobs.delete(artifact.digest)
    assert not store.exists(artifact)
    with pytest.raises(MissingArtifact, match=artifact.digest):
        store.verify(artifact)


def test_inline_bytes_are_compared_by_verify(store: ArtifactStore) -> None:
    artifact = store.put(7)
    assert store.exists(artifact)
    store.verify(artifact)
    changed = Artifact(artifact.digest, artifact.codec, artifact.size_bytes, b"\x08")
    with pytest.raises(DamagedArtifact, match=artifact.digest):
        store.verify(changed)


def test_the_name_of_the_value_begins_the_message(store: ArtifactStore) -> None:
    with pytest.raises(Unstorable, match=r"^rows\[0\]: "):
        store.put([iter([])], "rows")


def test_a_value_is_read_as_what_its_codec_wrote(store: ArtifactStore) -> None:
    artifact = store.put("x" * 10_000)
    with pytest.raises(DamagedArtifact, match="npy"):
        store.get(Artifact(artifact.digest, "npy", artifact.size_bytes))


def best_us(action: Any, arg: Any) -> float:
    times = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(500):
            action(arg)
        times.append(time.perf_counter() - start)
    return min(times) / 500 * 1e6


def encode_and_hash(value: Any) -> str:
    """The floor: what storing a value cannot do without."""
    return digest_bytes(msgspec.msgpack.encode(value))


def test_small_values_are_cheap(store: ArtifactStore) -> None:
    for value in (7, 0.5, "name", None):
        floor_us = best_us(encode_and_hash, value)
        assert best_us(store.put, value) < 8 * floor_us
        assert best_us(store.get, store.put(value)) < 4 * floor_us

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable
from pathlib import Path

from weft.distributions import distributions_in, find_distribution, list_distributions, normalise
from weft.store.environment_lock import environment_lock, lock_digest, lock_from_bytes


def cpu_s(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def install(site: Path, name: str, record: str = "") -> None:
    folder = site / name
    folder.mkdir(parents=True)
    (folder / "RECORD").write_text(record)


def test_the_lock_agrees_with_importlib_metadata() -> None:
    lock = environment_lock()
    theirs = {}
    for each in importlib.metadata.distributions():
        theirs.setdefault(normalise(each.name), each.version)
    assert dict(lock.distributions) == theirs
    assert lock.python == platform.python_version()


def test_the_lock_round_trips_and_its_digest_is_of_its_content(tmp_path: Path) -> None:
    install(tmp_path / "site", "Some_Name-1.2.3.dist-info")
    lock = environment_lock([str(tmp_path / "site")])
    assert lock.distributions == (("some-name", "1.2.3"),)
    assert lock.to_requirements() == "some-name==1.2.3\n"
    assert lock_from_bytes(lock.to_bytes()) == lock
    assert lock_digest(lock) == lock_digest(environment_lock([str(tmp_path / "site")]))


def test_another_version_is_another_lock(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "some_name-1.0.dist-info")
    before = environment_lock([str(site)])
    (site / "some_name-1.0.dist-info").rename(site / "some_name-2.0.dist-info")
    assert lock_digest(environment_lock([str(site)])) != lock_digest(before)


def test_the_first_folder_of_the_path_counts(tmp_path: Path) -> None:
    install(tmp_path / "a", "some.name-1.0.dist-info")
    install(tmp_path / "b", "some-name-2.0.dist-info")
    install(tmp_path / "b", "old-3.0-py3.11.egg-info")
    found = list_distributions([str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "gone")])
    assert [(normalise(each.name), each.version) for each in found] == [("old", "3.0"), ("some-name", "1.0")]


def test_an_entry_with_a_version_counts_before_one_without(tmp_path: Path) -> None:
    install(tmp_path, "cryptography-38.0.4.dist-info")
    install(tmp_path, "cryptography.egg-info")
    assert environment_lock([str(tmp_path)]).distributions == (("cryptography", "38.0.4"),)


def test_the_owner_of_a_module_is_found_by_its_record(tmp_path: Path) -> None:
    install(tmp_path, "PyYAML-6.0.dist-info", "a,,\nyaml/__init__.py,sha256=x,1\n")
    install(tmp_path, "Another-1.0.dist-info", "not_yaml/yaml/__init__.py,,\n")
    (tmp_path / "old-2.0.egg-info").mkdir()
    (tmp_path / "old-2.0.egg-info/top_level.txt").write_text("older\n")
    owners = {
        inside: find_distribution(str(tmp_path), inside)
        for inside in ("yaml/__init__.py", "older/a.py", "x.py")
    }
    assert [owner and owner.name for owner in owners.values()] == ["PyYAML", "old", None]


def test_a_lock_is_quick() -> None:
    def read_metadata() -> None:
        for each in importlib.metadata.distributions():
            assert each.version

    # The least of many, of processor time: what else the machine does can only add.
    assert min(cpu_s(environment_lock) for _ in range(10)) < min(cpu_s(read_metadata) for _ in range(10))
    assert distributions_in("/nowhere/at/all") == {}

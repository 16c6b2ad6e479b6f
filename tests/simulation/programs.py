"""The programs that are simulated: the pool of small workflows, and some of the law's generated ones."""

from __future__ import annotations

import importlib
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.law.compare import Outcome, outcome_of
from tests.law.generator import program_from_seed
from weft.client.prepare import Prepared, prepare
from weft.client.starting import with_defaults
from weft.driver.launch import Launch
from weft.program.nodes import Program
from weft.settings import Settings
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import MemoryBlobStore

from .workflows import POOL

GENERATED = (3, 5, 13, 24, 32, 45)  # Small ones, which hold every kind of node between them.
COUNT = len(POOL) + len(GENERATED)


@dataclass(frozen=True)
class Ready:
    """A compiled workflow and how it is started."""

    workflow: Any
    args: tuple[Any, ...]
    program: Program
    launch: Launch


@cache
def _folder() -> Path:
    """Return a folder that is on the path as long as this process lives."""
    folder = tempfile.TemporaryDirectory(prefix="weft-simulation-")
    _kept.append(folder)
    sys.path.append(folder.name)
    return Path(folder.name)


_kept: list[Any] = []


@cache
def _module(seed: int) -> Any:
    name = f"simulated_{seed}"
    (_folder() / f"{name}.py").write_text(program_from_seed(seed).text)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def _workflow(number: int) -> tuple[Any, tuple[Any, ...]]:
    if number < len(POOL):
        return POOL[number]
    module = _module(GENERATED[number - len(POOL)])
    return module.main, module.inputs()[0]


@cache
def _prepared(number: int) -> Prepared:
    workflow, args = _workflow(number)
    return prepare(workflow, ArtifactStore(MemoryBlobStore()), args, {})


@cache
def ready(number: int, retries: int, cached: bool) -> Ready:
    """Return a workflow as it can be accepted; steps that say nothing get so many ``retries``."""
    workflow, args = _workflow(number)
    prepared = _prepared(number)
    assert all(output.artifact.inline is not None for output in prepared.given)
    settings = Settings(home=Path(), step={"retries": retries, "backoff": "500ms"} if retries else {})
    launch = Launch(given=prepared.given, code=prepared.code, cache=True if cached else None)
    return Ready(workflow, args, with_defaults(prepared.program, settings), launch)


@cache
def plain(number: int) -> Outcome:
    """Return how the plain call ends."""
    workflow, args = _workflow(number)
    return outcome_of(workflow.function, *args)

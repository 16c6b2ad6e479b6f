"""The fixture of a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """An empty project that is the current folder."""
    made = Project(tmp_path, monkeypatch)
    yield made
    made.close()

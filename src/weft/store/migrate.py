"""Numbered migrations: each is applied once, and recorded in the transaction that applies it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from weft.store.engine import Engine, NewerDatabase, statement

_FOLDER = Path(__file__).parent / "migrations"
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")
_RECORD = statement("insert into migrations (number, name, applied_ms) values (:number, :name, :applied_ms)")


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    text: str


@cache
def all_migrations(folder: Path = _FOLDER) -> tuple[Migration, ...]:
    """Return the migrations of ``folder`` in order of their numbers."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path.name} is no name for a migration: write 0002_what_it_adds.sql")
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations of {folder} are not numbered from 1 without a gap")
    return tuple(found)


def migrate(engine: Engine, migrations: tuple[Migration, ...] | None = None) -> None:
    """Bring the database up to the last migration; nothing is written where it is there already.

    Raises:
        NewerDatabase: the database is ahead of this program.
    """
    known = all_migrations() if migrations is None else migrations
    if _pending(engine, known):
        # Each in its own transaction: one that was cut off starts again where it stopped.
        for _ in known:
            _apply_next(engine, known)


def _pending(engine: Engine, known: tuple[Migration, ...]) -> tuple[Migration, ...]:
    version = engine.schema_version()
    if version > len(known):
        raise NewerDatabase(engine.name, version, len(known))
    return known[version:]


def _apply_next(engine: Engine, known: tuple[Migration, ...]) -> None:
    with engine.transaction(full_sync=True, exclusive=True):
        # Looked up again, now that nobody else can migrate: another process may have been faster.
        pending = _pending(engine, known)
        if pending:
            first = pending[0]
            engine.run_script(engine.adapt(first.text))
            applied = {"number": first.number, "name": first.name, "applied_ms": engine.now_ms()}
            engine.write(_RECORD, applied)
            engine.record_version(first.number)

"""Which runs need which blobs: what a sweep must keep, and what a verification must find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from weft.model.records import Reference
from weft.store.engine import Engine, statements

PAGE: Final = 1000


class References:
    """The blob references of all runs. They are written by ``Runs.create`` and ``Runs.commit``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sql = statements("references")

    def digests(self) -> Iterator[str]:
        """Yield the digest of every blob that any run needs, once each, in order."""
        after = ""
        while rows := self._engine.execute(self._sql["page"], {"after": after, "count": PAGE}):
            for (digest,) in rows:
                yield digest
            after = rows[-1][0]

    def of_run(self, run: str) -> Iterator[Reference]:
        """Yield the blobs that ``run`` needs, in order of their digests."""
        after = ""
        sql = self._sql["of_run"]
        while rows := self._engine.execute(sql, {"run": run, "after": after, "count": PAGE}):
            for row in rows:
                yield Reference(*row)
            after = rows[-1][0]

    def runs_of(self, digest: str, *, limit: int = 10) -> list[str]:
        """Return up to ``limit`` ids of runs that need the blob."""
        rows = self._engine.execute(self._sql["runs_of"], {"digest": digest, "count": limit})
        return [run for (run,) in rows]

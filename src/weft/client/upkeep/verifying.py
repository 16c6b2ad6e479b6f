"""Is a run as it was written: its journal, its rows, every artifact that they refer to, its archived code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from weft.client.home import Home
from weft.client.run import Run
from weft.errors import StoredDataError
from weft.model.records import Reference, failure_from_bytes
from weft.model.values import Artifact
from weft.store.audit import Audit, ChangedRow
from weft.store.project import archive_homes, archived_contents


class VerifyReport(msgspec.Struct, frozen=True):
    """What a check of one run found. ``problems`` is empty where all is well; the first is the first found.

    ``head``: the hash of the last journal entry, which stands for all of the record.
    """

    run: str
    entries: int
    artifacts: int
    problems: list[str]
    head: str = ""


def verify_run(home: Home, run: Run[Any]) -> VerifyReport:
    """Check the chain of the journal, all rows that it vouches for, and the content of each artifact and archive.

    A run that is being driven is checked as far as it has come.
    """
    check = _Check(home, run)
    check.step(check.journal)
    check.step(check.rows)
    check.step(check.artifacts)
    check.step(check.code)
    problems = list(dict.fromkeys(check.problems))
    head = run.record.journal_head
    return VerifyReport(run.id, check.entries_count, check.artifacts_count, problems, head)


class _Check:
    def __init__(self, home: Home, run: Run[Any]) -> None:
        self._home = home
        self._run = run
        self.problems: list[str] = []
        self.entries_count = 0
        self.artifacts_count = 0

    def step(self, check: Any) -> None:
        """Do one part; what keeps it from going on is a problem too."""
        try:
            check()
        except (TypeError, ValueError, OSError) as error:
            # A damaged field may hold a value of any type, which whoever reads it stumbles over.
            self.problems.append(f"a stored field of run {self._run.id} cannot be what it is: {error}")
        except StoredDataError as error:
            self.problems.append(error.message)

    def journal(self) -> None:
        self.entries_count = self._home.database.journal.verify(self._run.id)

    def rows(self) -> None:
        problems = Audit(self._home.database.engine, self._run.record).problems()
        self.problems += [problem.message for problem in problems]

    def artifacts(self) -> None:
        """Check that what the rows name is what is referred to, and read all of it."""
        named = {artifact.digest: artifact for artifact in self._named()}
        is_quiet = self._run.is_over
        for reference in self._home.database.references.of_run(self._run.id):
            self.artifacts_count += 1
            artifact = named.pop(reference.digest, None)
            if is_quiet and (artifact is None or reference != _reference(artifact)):
                self._refuse(f"its reference to {reference.digest} is not what its tasks made")
            artifact = artifact or Artifact(reference.digest, reference.codec, reference.size_bytes)
            self.step(lambda artifact=artifact: self._home.store.verify(artifact))
        for artifact in named.values() if is_quiet else ():
            self._refuse(f"its reference to {artifact.digest} is missing")

    def _refuse(self, what: str) -> None:
        self.problems.append(ChangedRow(self._run.id, what).message)

    def _named(self) -> Iterator[Artifact]:
        """Yield the artifacts in files that the run was given and that its tasks made."""
        found = [output.artifact for output in self._home.launch(self._run.record).given]
        yield from (artifact for artifact in found if artifact.inline is None)
        for task in self._home.database.tasks.outcomes(self._run.id):
            report = task.report()
            for artifact in report.artifacts() if report is not None else ():
                if artifact.inline is None:
                    yield artifact
        for attempt in self._home.database.tasks.attempts_of_run(self._run.id):
            exception = failure_from_bytes(attempt.failure).exception if attempt.failure else None
            if exception is not None and exception.inline is None:
                yield exception

    def code(self) -> None:
        pin = self._home.launch(self._run.record).pin
        if pin is None:
            return
        for digest in sorted(archive_homes(pin, self._home.blobs)):
            self._home.blobs.verify(digest)
        for _ in archived_contents(pin, self._home.blobs):
            pass  # each is compared with its digest on the way


def _reference(artifact: Artifact) -> Reference:
    return Reference(artifact.digest, artifact.codec, artifact.size_bytes)

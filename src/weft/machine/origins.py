"""What reports bind: artifacts become references, each output with an origin of its own."""

from __future__ import annotations

from weft.machine.frames import UNBOUND, Names, Outcome
from weft.model.jobs import Output, Report
from weft.model.values import Artifact, Failure, Ref


class Origins:
    """State: how many origins there are."""

    def __init__(self) -> None:
        self._last = 0

    def reserve(self, count: int) -> int:
        """Return the first of ``count`` origins that nothing else has."""
        first = self._last + 1
        self._last += count
        return first

    def ref(self, artifact: Artifact) -> Ref:
        """Return a reference to a value of its own."""
        self._last += 1
        return Ref(artifact, self._last)

    def error_ref(self, failure: Failure, names: Names) -> Ref | None:
        """Return the reference to a failure's exception, which may be stored together with ``names``."""
        if failure.exception is None:
            return None
        beside = [ref for ref in names.values() if isinstance(ref, Ref) and ref.artifact == failure.exception]
        origin = beside[0].origin if failure.path and beside else self.ref(failure.exception).origin
        return Ref(failure.exception, origin, failure.path)

    def names_in(self, outputs: list[Output]) -> Names:
        """Return what outputs bind."""
        names: Names = {}
        for output in outputs:
            ref = self.ref(output.artifact)
            if output.solo:
                names[output.names[0]] = ref
            else:
                for name in output.names:
                    names[name] = Ref(output.artifact, ref.origin, (name,))
        return names

    def outcome_of(self, report: Report) -> Outcome:
        """Return a report as the outcome of its node."""
        names = {**dict.fromkeys(report.unbound, UNBOUND), **self.names_in(report.outputs)}
        if report.outcome == "fail":
            assert report.failure is not None
            return self.failed(report.failure, names)
        return Outcome(report.outcome, names)

    def failed(self, failure: Failure, names: Names | None = None) -> Outcome:
        """Return the outcome of a node that failed, with what it bound until then."""
        return Outcome("fail", names or {}, [], failure, self.error_ref(failure, names or {}))

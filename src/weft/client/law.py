"""``weft check --law``: does a workflow's durable run end as its plain call, on the user's own input?

The plain call runs in a process of its own, so that what it changes in memory is not there for the durable run.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from weft.client.loading import load_workflow
from weft.client.outcomes import Outcome, outcome_difference, outcome_of
from weft.errors import UserError
from weft.executors.launch import PINNED_SEED
from weft.lang.parameters import arguments_of, parse_parameters
from weft.store.artifacts import ArtifactStore
from weft.store.blobs import FileBlobStore

_OUTCOME: Final = "outcome.pickle"
_STDERR: Final = 2


class PlainCallLost(UserError):
    """The process of the plain call ended without an outcome."""

    code = "plain-call-lost"

    def __init__(self, target: str, code: int) -> None:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        super().__init__(
            f"the plain call of {target} {how}",
            hint="Call the workflow's function in Python to see why; the law speaks of calls that end.",
        )


class IncomparableResult(UserError):
    """What the plain call returns cannot leave its process."""

    code = "incomparable-result"

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(
            f"the result of the plain call of {target} cannot be compared: it cannot be pickled ({reason})",
            hint="Return plain data, frames, arrays or models from the workflow.",
        )


class LawReport(msgspec.Struct, frozen=True):
    """How the two ended. ``difference`` says where they differ first; None: they are equal.

    ``run`` is the id of the durable run.
    """

    workflow: str
    run: str
    plain: Outcome
    durable: Outcome
    difference: str | None

    @property
    def is_kept(self) -> bool:
        """Whether the durable run ended as the plain call did."""
        return self.difference is None


def check_law(target: str, parameters: Sequence[str]) -> LawReport:
    """Call a workflow plainly, run it durably, and compare.

    Args:
        target: ``FILE[:WORKFLOW]``.
        parameters: ``name=value`` texts.

    Raises:
        CompileErrors: it does not compile. ParameterError: the parameters do not fit.
        PlainCallLost, IncomparableResult: see each.
    """
    workflow = load_workflow(target)
    args, kwargs = arguments_of(workflow.function, parse_parameters(workflow.function, parameters))
    workflow.program()  # A refusal is said before anything runs.
    plain = plain_outcome(target, parameters)
    run = workflow.options(tags={"check": "law"}).start(*args, **kwargs)
    run.wait()
    durable = outcome_of(run.result)
    return LawReport(workflow.name, run.id, plain, durable, outcome_difference(plain, durable))


def plain_outcome(target: str, parameters: Sequence[str]) -> Outcome:
    """Call a workflow plainly, in a process of its own, and return how it ended.

    Raises:
        PlainCallLost, IncomparableResult: see each.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Its set order must be that of the workers, and its output must not mix with the result.
        environment = {**os.environ, "PYTHONHASHSEED": PINNED_SEED}
        command = [sys.executable, *_optimized(), "-m", __name__, folder, target, *parameters]
        ended = subprocess.run(command, env=environment, stdout=_STDERR, check=False)
        outcome = Path(folder, _OUTCOME)
        if not outcome.exists():
            raise PlainCallLost(target, ended.returncode)
        kind, content = pickle.loads(outcome.read_bytes())
        if kind == "unpicklable":
            raise IncomparableResult(target, content)
        if kind == "error":
            return Outcome(error=_store(folder).get(content))
        return Outcome(value=pickle.loads(content))


def _optimized() -> list[str]:
    return [] if __debug__ else ["-O"]


def _store(folder: str) -> ArtifactStore:
    return ArtifactStore(FileBlobStore(Path(folder)))


def main(folder: str, target: str, *parameters: str) -> None:
    """Call a workflow plainly in this process and leave its outcome in ``folder``."""
    workflow = load_workflow(target)
    args, kwargs = arguments_of(workflow.function, parse_parameters(workflow.function, parameters))
    outcome = outcome_of(workflow.function, *args, **kwargs)
    sys.stdout.flush()
    Path(folder, _OUTCOME).write_bytes(pickle.dumps(_packed(outcome, folder)))


def _packed(outcome: Outcome, folder: str) -> tuple[str, Any]:
    if outcome.error is not None:
        return "error", _store(folder).put_exception(outcome.error)
    try:
        # Not by Weft's codecs: what they lose must be seen.
        return "value", pickle.dumps(outcome.value)
    except Exception as error:  # noqa: BLE001 - whatever a user's class raises when it is pickled
        return "unpicklable", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(*sys.argv[1:])

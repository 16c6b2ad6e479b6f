"""What a step is made of, for people: its parts with their digests, and what could not be followed."""

from __future__ import annotations

from types import ModuleType

import msgspec

from weft.client.home import Home
from weft.client.loading import load_module, split_target, workflows_of
from weft.client.rerun.differences import Kind, part_kind
from weft.errors import UserError
from weft.lang.cache_keys import step_fingerprint
from weft.lang.compiler import compile_workflow
from weft.lang.steps import Step
from weft.lang.workflows import Workflow
from weft.store.codecs import fingerprint_value


class NoStep(UserError):
    """There is no step of this name."""

    code = "no-step"

    def __init__(self, name: str, place: str, known: list[str]) -> None:
        super().__init__(
            f"{place} has no step {name!r}" if name else f"{place} has no step",
            hint=f"Its steps are {', '.join(known)}." if known else "Mark a function with @step.",
        )


class Part(msgspec.Struct, frozen=True):
    """One thing that a step uses. ``version`` of a package or of Python, ``digest`` of all else."""

    kind: Kind
    name: str
    digest: str = ""
    version: str = ""


class StepFingerprint(msgspec.Struct, frozen=True):
    """What a step is made of.

    Attributes:
        digest: with the inputs' hashes it makes the key under which results are found again.
        unfollowed: what could change unseen, with its place.
    """

    step: str
    digest: str
    parts: list[Part]
    unfollowed: list[str]


def step_fingerprints(home: Home, target: str) -> list[StepFingerprint]:
    """Return the fingerprints of the steps that ``FILE``, ``FILE:STEP``, or ``STEP`` of the latest run, names.

    Raises:
        NoSuchFile, BrokenFile, NoStep, CompileErrors, RunNotFound.
    """
    path, name = split_target(target)
    if name is None and not path.endswith(".py") and path.isidentifier():
        path, name = home.get_run().record.file, path
    steps = _steps_of(load_module(path))
    if not steps or (name is not None and name not in steps):
        raise NoStep(name or "", path, list(steps))
    wanted = steps if name is None else {name: steps[name]}
    return [_described(found, step) for found, step in wanted.items()]


def _steps_of(module: ModuleType) -> dict[str, Step[..., object]]:
    """Return the steps that a module defines, and those that its workflows call, by name."""
    steps = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Step) and getattr(value, "__module__", "") == module.__name__
    }
    for workflow in workflows_of(module).values():
        for step in _called_by(workflow):
            if all(step.function is not known.function for known in steps.values()):
                steps.setdefault(step.name, step)
    return steps


def _called_by(workflow: Workflow[..., object]) -> tuple[Step[..., object], ...]:
    return compile_workflow(workflow, (), fingerprint_value).steps


def _described(name: str, step: Step[..., object]) -> StepFingerprint:
    found = step_fingerprint(step, fingerprint_value)
    return StepFingerprint(name, found.digest, [_part(*part) for part in found.parts], list(found.unfollowed))


def _part(label: str, digest: str) -> Part:
    kind, name = part_kind(label)
    if kind in ("package", "python"):
        return Part(kind, name, version=digest)
    return Part(kind, name, digest)

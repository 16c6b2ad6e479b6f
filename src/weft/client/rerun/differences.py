"""What differs between two programs: the code of a step, its call, the workflow's own text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from weft.lang.cache_keys import KEY_FUNCTION
from weft.program.nodes import Call, Program, StepSpec

Kind = Literal[
    "source",
    "key function",
    "constant",
    "module",
    "package",
    "python",
    "code",
    "call",
    "parameter",
    "new",
    "forced",
]
_VERSIONS = ("package", "python")


class Change(msgspec.Struct, frozen=True):
    """One thing that differs. ``old`` and ``new``: short texts where there are any, such as versions.

    ``kind``: ``code`` where it is not on record what of the code differs; ``new``: nothing to compare it with.
    """

    kind: Kind
    name: str = ""
    old: str = ""
    new: str = ""

    @property
    def text(self) -> str:
        """The change in words."""
        if self.kind == "parameter" and not self.old:
            return f"parameter {self.name} is new: {self.new}"
        match self.kind:
            case "source" | "key function" | "constant" | "module":
                return f"{self.kind}{' of' if self.kind == 'source' else ''} `{self.name}` changed"
            case "package" | "python" | "parameter":
                name = "Python" if self.kind == "python" else f"{self.kind} {self.name}"
                return f"{name} {self.old or 'unknown'} → {self.new or 'unknown'}"
            case "call":
                return "its call in the workflow changed"
            case "new":
                return "it is new"
            case "forced":
                return "asked for"
            case _:
                return "its code changed"

    @property
    def short(self) -> str:
        """What changed, where the rest has been said."""
        match self.kind:
            case "source" | "constant":
                return f"`{self.name}` changed"
            case "key function":
                return f"key function `{self.name}` changed"
            case "module" | "package" | "parameter":
                return f"{self.kind} {self.name} changed"
            case "python":
                return "Python changed"
            case _:
                return self.text


def parts_of(program: Program, spec: StepSpec) -> dict[str, str]:
    """Return what a step's fingerprint was made of; empty in a program that does not say."""
    return dict(program.parts[number] for number in spec.parts)


def code_changes(old: Program, was: StepSpec, new: Program, now: StepSpec) -> list[Change]:
    """Return what makes the fingerprint of a step another one; empty if it is the same.

    What moved within the project is no change, and what is only reached since another part changed is not said.
    """
    if was.fingerprint == now.fingerprint:
        return []
    before, after = parts_of(old, was), parts_of(new, now)
    both = [name for name in after if name in before and before[name] != after[name]]
    changes = [_change(name, before[name], after[name]) for name in both]
    if not changes and before and after:
        gone = {digest: name for name, digest in before.items() if name not in after}
        changes = [
            _change(name, "", "")
            for name, digest in after.items()
            if name not in before and digest not in gone
        ]
    return changes or [Change("code")]


def part_kind(label: str) -> tuple[Kind, str]:
    """Return what kind of thing a part of a fingerprint is, and its name alone."""
    if label.startswith(f"{KEY_FUNCTION} "):
        return "key function", label.removeprefix(f"{KEY_FUNCTION} ")
    kind, _, name = label.partition(" ")
    match kind:
        case "constant" | "module" | "package" | "python":
            return kind, name
        case _:
            return "source", label


def _change(label: str, old: str, new: str) -> Change:
    kind, name = part_kind(label)
    return Change(kind, name, old, new) if kind in _VERSIONS else Change(kind, name)


def call_changes(old: Program, was: Call, new: Program, now: Call) -> list[Change]:
    """Return what makes the key of a call another one, apart from its inputs."""
    changes = code_changes(old, old.steps[was.step], new, new.steps[now.step])
    around = ("", "") if was.key and now.key else (was.fingerprint, now.fingerprint)
    if (_form(was), around[0]) != (_form(now), around[1]):
        changes.append(Change("call"))
    return changes


def _form(call: Call) -> object:
    """Return how a step is called, its inputs' values apart; as the reuse key has it."""
    if call.key:
        return "what a key function gives"
    if call.plain is None:
        return call.code.text, list(call.code.reads)
    return [(keyword, bool(local), constant) for keyword, local, constant in call.plain]


def reached(changes: Iterable[tuple[str, Change]]) -> list[str]:
    """Return each change once, in words, with the steps that it is reached through: (step, change) pairs."""
    steps: dict[Change, list[str]] = {}
    for step, change in changes:
        through = steps.setdefault(change, [])
        if step not in through:
            through.append(step)
    return [_with_steps(change, through) for change, through in steps.items()]


def _with_steps(change: Change, steps: list[str]) -> str:
    named = ", ".join(f"`{step}`" for step in steps)
    match change.kind:
        case "parameter":
            return (
                f"{change.text}, read by {named}{' only' if len(steps) == 1 else ''}"
                if named
                else change.text
            )
        case "new":
            return f"step {named} is new"
        case "code":
            return f"the code of {named} changed"
        case "call":
            return f"the call of {named} changed"
        case "forced":
            return f"`{change.name}` runs again, as asked for"
        case _:
            inside = len(steps) == 1 and change.name.rpartition(".")[2] == steps[0].rpartition("/")[2]
            return change.text if inside else f"{change.text}, reached through {named}"

"""The register of the corpus: which workflows there are, and the inputs to try each with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Inputs:
    """One call's arguments."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def fresh(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return copies (names that share an object still do), since a workflow may change what it gets."""
        args, kwargs = copy.deepcopy((self.args, self.kwargs))
        return args, kwargs


@dataclass(frozen=True)
class Entry:
    """A workflow of the corpus with its inputs. ``theme`` is the module it stands in."""

    theme: str
    name: str
    function: Any
    inputs: tuple[Inputs, ...]

    @property
    def id(self) -> str:
        return f"{self.theme}-{self.name}"


CORPUS: list[Entry] = []


def call(*args: Any, **kwargs: Any) -> Inputs:
    """Write down the arguments of a call."""
    return Inputs(args, kwargs)


def cases(function: Any, *inputs: Inputs) -> None:
    """Register a workflow; without inputs it is called with no arguments."""
    theme = function.function.__module__.rpartition(".")[2]
    CORPUS.append(Entry(theme, function.function.__name__, function, inputs or (call(),)))

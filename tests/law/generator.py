"""Random workflow modules: the source text of a library, of one to three workflows, and of their inputs.

The same seed gives the same program on every machine. ``programs()`` is the hypothesis strategy over the
same grammar, so that a failing program shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from .blocks import statement
from .dice import Dice, DrawnDice, SeededDice, chance, pick
from .expressions import number, value
from .scope import KINDS
from .writer import Signature, Writer

LIBRARY = Path(__file__).with_name("library.py").read_text()
# The mutants name programs below this seed, so what those are stays as it is when forms are added.
WIDE_FROM = 500
RESULTS = ("int", "list", "int", "dict", "tuple")
PARAMETER_KINDS = ("int", "list", "int", "dict", "list")


@dataclass(frozen=True)
class Source:
    """A generated module.

    Attributes:
        body: the text of the workflows and of ``inputs()``, which gives new arguments each time.
        tags: properties that the syntax does not show.
        name: where it came from, such as ``seed 7``.
    """

    body: str
    tags: frozenset[str]
    name: str = "drawn"

    @property
    def text(self) -> str:
        """The whole module."""
        return f"{LIBRARY}\n\n{self.body}"

    def __repr__(self) -> str:
        return f"# {self.name}\n{self.body}"


def program_from_seed(seed: int) -> Source:
    """Return the program of a seed."""
    return program_from_dice(SeededDice(seed), f"seed {seed}", wide=seed >= WIDE_FROM)


@st.composite
def programs(draw: Any) -> Source:
    """Programs as a hypothesis strategy."""
    return program_from_dice(DrawnDice(draw), "drawn")


def program_from_dice(dice: Dice, name: str, *, wide: bool = True) -> Source:
    """Return the program that these choices make."""
    signatures: list[Signature] = []
    parts: list[str] = []
    tags: set[str] = set()
    for position in range(dice.below(3)):
        writer, signature, text = _sub_workflow(dice, f"part_{position}", signatures, wide)
        signatures.append(signature)
        parts.append(text)
        tags |= writer.tags
    writer, text = _main(dice, signatures, wide)
    body = "\n\n".join([*parts, text, _inputs(dice, writer)])
    compile(body, name, "exec")  # what Python itself refuses is a fault of this grammar
    return Source(body=body, tags=frozenset(tags | writer.tags), name=name)


def _sub_workflow(dice: Dice, name: str, known: list[Signature], wide: bool) -> tuple[Writer, Signature, str]:
    result = pick(dice, RESULTS)
    w = Writer(dice, list(known), result=result, may_hide=chance(dice, 35), budget=2 + dice.below(4))
    w.locks, w.wide = name, wide
    parameters, head = _parameters(w)
    _bind_parameters(w, parameters)
    _statements(w, 1 + dice.below(3))
    w.emit(f"return {w.known(result) or value(w, result, 2)}")
    text = "\n".join(["@workflow", f"def {name}({head}):", *w.lines])
    return w, Signature(name, parameters, result, w.hidden), text + "\n"


def _parameters(w: Writer) -> tuple[tuple[tuple[str, str, str], ...], str]:
    """Return the parameters of a workflow and their text between the parentheses."""
    found = [(f"{KINDS[kind]}{k}", kind, "") for k, kind in enumerate(_kinds(w, 1 + w.below(3)))]
    parts = [name for name, _, _ in found]
    if w.chance(30):
        found[0] = (found[0][0], found[0][1], "/")
        parts.insert(1, "/")
    if w.chance(35):
        found.append(("n3", "int", "="))
        parts.append(f"n3={w.below(6)}")
    if w.chance(25):
        found.append(("rest", "args", "*"))
        parts.append("*rest")
    if w.chance(30):
        found.append(("key", "int", "k="))
        parts += [] if "*rest" in parts else ["*"]
        parts.append("key" if w.chance(40) else f"key={w.below(5)}")
    if w.chance(20):
        found.append(("more", "dict", "**"))
        parts.append("**more")
    if any(how == "*" for _, _, how in found):
        found = [(name, kind, "" if how == "=" else how) for name, kind, how in found]
    return tuple(found), ", ".join(parts)


def _kinds(w: Writer, count: int) -> list[str]:
    return [w.pick(PARAMETER_KINDS) for _ in range(count)]


def _bind_parameters(w: Writer, parameters: tuple[tuple[str, str, str], ...]) -> None:
    """Bind the parameters; those without a kind of their own are put into names that have one."""
    for name, kind, how in parameters:
        if how == "*":
            w.emit(f"n2 = total(*{name})" if w.chance(50) else f"n2 = len({name})")
            w.scope.bind("n2", "int")
        else:
            w.scope.bind(name, kind)
            if name == "key" and w.chance(50):
                w.emit("n1 = inc(key)")
                w.scope.bind("n1", "int")


def _statements(w: Writer, least: int) -> None:
    """Write statements until the budget is spent, and not fewer than ``least``."""
    written = 0
    while w.budget > 0 or written < least:
        statement(w)
        written += 1


def _main(dice: Dice, signatures: list[Signature], wide: bool) -> tuple[Writer, str]:
    w = Writer(dice, signatures, result="any", budget=5 + dice.below(7), wide=wide)
    w.scope.bind("n0", "int")
    w.scope.bind("xs0", "list")
    w.scope.bind("d0", "dict")
    if chance(dice, 40):
        w.scope.bind("rows0", "rows")
    w.scope.keep_apart(sorted(w.scope.bound))
    head = ", ".join(["n0", "xs0", "d0", *(["rows0"] if "rows0" in w.scope.bound else [])])
    w.scope.restore((frozenset(w.scope.bound), frozenset()))
    _statements(w, 4)
    w.emit(f"return {_everything(w)}")
    return w, "\n".join(["@workflow", f"def main({head}):", *w.lines]) + "\n"


def _everything(w: Writer) -> str:
    """Return the text of a value that shows all that is bound."""
    names = sorted(name for name in w.scope.bound if w.scope.kinds[name] != "fn")
    parts = [f"'{name}': {name}" for name in names]
    return "{" + ", ".join([*parts, f"'last': {number(w, 1)}"]) + "}"


def _inputs(dice: Dice, w: Writer) -> str:
    """Return the text of ``inputs()``: a list of argument tuples for ``main``."""
    rows = "main(n0, xs0, d0, rows0)" if any(n == "rows0" for n in _main_parameters(w)) else ""
    cases = [_case(dice, bool(rows)) for _ in range(2)]
    return (
        "\n".join(["def inputs():", "    return [", *(f"        {case}," for case in cases), "    ]"]) + "\n"
    )


def _main_parameters(w: Writer) -> list[str]:
    return [name for pair in w.scope._apart for name in pair]


def _case(dice: Dice, with_rows: bool) -> str:
    numbers = [str(dice.below(7)) for _ in range(dice.below(4))]
    items = "None" if chance(dice, 3) else f"[{', '.join(numbers)}]"
    table = pick(dice, ("{'a': 1, 'b': 2}", "{}", "{'k': 3}", "{'a': 4, 'k': 0, 'z': 2}"))
    parts = [str(dice.below(9)), items, table]
    if with_rows:
        parts.append(pick(dice, ("[[1], [2, 3]]", "[]", "[[], [4]]")))
    return f"({', '.join(parts)})"

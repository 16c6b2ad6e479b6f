"""The compiled workflow: a tree of blocks of nodes. Data only; no user code is needed to read it.

Names. A node speaks of *environment names* (``xs``; ``xs@2`` for the variable of an inlined workflow or of
a comprehension, ``@…`` for what the compiler added). The text of a piece of code keeps the user's own
names; ``reads`` and ``writes`` of ``Code`` map those local names to environment names.

Meaning. A block runs its nodes over an environment; see ``docs/architecture.md`` for the rules of order.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

PROGRAM_VERSION = 1


class Span(msgspec.Struct, frozen=True, array_like=True):
    """Where a node stands: unit (index into ``Program.units``), first and last line, columns from 0."""

    unit: int
    line: int
    column: int
    end_line: int
    end_column: int


class Unit(msgspec.Struct, frozen=True):
    """One function whose text is in the program: the workflow, or a workflow that it inlines.

    ``module`` is where glue finds its globals. ``source`` is the function's text as it stood, its first
    line being ``first_line`` of ``file``. ``future`` holds the compiler flags of ``__future__`` imports.
    """

    name: str
    module: str
    file: str
    first_line: int
    source: str
    future: int = 0


class StepSpec(msgspec.Struct, frozen=True):
    """A step as the program knows it.

    Attributes:
        value: True: it cannot be imported and travels by value.
        parts: what its fingerprint was made of, as indexes into ``Program.parts``.
        memory_bytes_max: up to there it gets more memory where it ran out; None: ``memory_bytes`` is all.
        key_function: what people call the function that gives its cache keys; empty: the inputs count themselves.
    """

    name: str
    module: str
    qualname: str
    fingerprint: str
    value: bool = False
    retries: int = 0
    backoff_ms: int = 0
    timeout_ms: int | None = None
    task_timeout_ms: int | None = None
    cpu: float = 1.0
    memory_bytes: int | None = None
    gpu: int = 0
    cache: bool | int = False
    memory_bytes_max: int | None = None
    parts: tuple[int, ...] = ()
    key_function: str = ""


class Code(msgspec.Struct, frozen=True):
    """A function body as text, in the names of its unit.

    Attributes:
        reads: local name → environment name, for each name it needs from the environment.
        writes: local name → environment name, for what it delivers.
        positions: for each node of the parsed text, in ``ast.walk`` order, four numbers: line, column,
            end line, end column in the user's file. Empty where they are not known.
    """

    text: str
    unit: int
    reads: dict[str, str] = {}
    writes: dict[str, str] = {}
    positions: tuple[int, ...] = ()


Exit = Literal["return", "break", "continue", "raise"]


class Node(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every node has.

    Attributes:
        ordered: it is made for its effect, so it starts after all above it and holds all below it.
        guard: it may leave the block on purpose (``raise``, ``assert``, ``return``, ``break``), so what
            stands below it waits until that is decided.
    """

    id: int
    span: Span
    ordered: bool = False
    guard: bool = False


RAISED_NAME: Final = "@raised"
"""What the exception is called, among the names of ``Glue.groups``, with which glue fails."""


class Glue(Node, frozen=True, kw_only=True, tag="glue"):
    """Plain Python between step calls.

    Attributes:
        groups: environment names among the writes that may share an object: stored as one artifact.
        checked: environment names from outside the loop that this glue must leave unchanged.
        defer: the id of the loop at whose end this glue is evaluated, in program order, or None.
        handling: environment name of the exception that is current while this runs, or None.
        produces: ``names`` (its writes), ``arm`` (also a decision), ``items`` (also what a loop runs over).
        targets: for ``items``, the names of the columns.
    """

    code: Code
    groups: tuple[tuple[str, ...], ...] = ()
    checked: tuple[str, ...] = ()
    defer: int | None = None
    handling: str | None = None
    produces: Literal["names", "arm", "items"] = "names"
    targets: tuple[str, ...] = ()


class Call(Node, frozen=True, kw_only=True, tag="call"):
    """A step call: a task. ``code`` evaluates the arguments inside the task; ``out`` names the result.

    ``step`` indexes ``Program.steps``. ``path`` is the task's name inside its group, such as ``inc.2``.
    ``fingerprint`` is that of the globals which the arguments' text reads; empty if it reads none.
    ``plain``: where every argument is a name or a constant, (keyword, local name, constant) of each: what names the
    workflow has for its values does not count then. None: the text counts. ``key``: the environment name of what the
    step's key function gave, which stands for all inputs then; empty if it has none.
    """

    code: Code
    step: int
    path: str
    out: str | None = None
    handling: str | None = None
    fingerprint: str = ""
    plain: tuple[tuple[str, str, str], ...] | None = None
    key: str = ""


class Branch(Node, frozen=True, kw_only=True, tag="branch"):
    """``test`` decides which of ``arms`` runs; a decision past the last arm runs none."""

    test: Glue
    arms: tuple[Block, ...]
    labels: tuple[str, ...] = ()


class Loop(Node, frozen=True, kw_only=True, tag="loop"):
    """``source`` is read once and gives a column for each target; each item runs a body.

    ``bodies`` holds one block, or, where the loop is unrolled, one for each item (``source`` is None).
    ``sequence``: an iteration starts only after the one before it has settled.
    ``carried``: the names that an iteration may change for the next one and for what follows.
    ``prelude`` holds glue that is evaluated with the loop's deferred glue, before the first iteration's.
    ``deferred`` lists the names that deferred glue of this loop writes.
    ``reason`` says, for people, why the loop runs in sequence; empty where it is parallel.
    """

    source: Glue | None
    prelude: tuple[Glue, ...] = ()
    deferred: tuple[str, ...] = ()
    bodies: tuple[Block, ...]
    orelse: Block
    targets: tuple[str, ...] = ()
    sequence: bool = False
    carried: tuple[str, ...] = ()
    reason: str = ""
    label: str = ""


class Handler(msgspec.Struct, frozen=True):
    """One ``except`` clause: ``name`` is the environment name bound to the exception while it runs."""

    block: Block
    name: str | None = None
    label: str = ""


class Try(Node, frozen=True, kw_only=True, tag="try"):
    """``match`` decides which handler takes the exception (the count of handlers: none of them).

    ``error`` names the exception while a handler, or ``final`` on the way of a failure, runs.
    ``handling`` names the one that is current around it, and so in ``final`` on the way of no failure.
    """

    body: Block
    match: Glue | None
    handlers: tuple[Handler, ...]
    orelse: Block
    final: Block
    error: str
    handling: str | None = None


class Capture(Node, frozen=True, kw_only=True, tag="capture"):
    """A generator handed to a call: a failure of ``body`` is not a failure but the value of ``error``
    (unbound if none), so that the consumer meets it only when it gets there."""

    body: Block
    error: str


class Limit(Node, frozen=True, kw_only=True, tag="limit"):
    """``body`` holds ``slots`` of the limit ``name`` while it runs."""

    name: str
    slots: int
    body: Block


class Group(Node, frozen=True, kw_only=True, tag="group"):
    """An inlined workflow. A ``return`` inside ends the group; ``result`` names what it returned."""

    name: str
    path: str
    body: Block
    result: str


class Move(Node, frozen=True, kw_only=True, tag="move"):
    """``out`` becomes another name for the value of ``value``, which is surely bound. No code runs."""

    out: str
    value: str


class Return(Node, frozen=True, kw_only=True, tag="return"):
    """Leave the function; the value is what the group's ``result`` names at that time."""


class Break(Node, frozen=True, kw_only=True, tag="break"):
    """Leave the innermost loop."""


class Continue(Node, frozen=True, kw_only=True, tag="continue"):
    """Go to the next item of the innermost loop."""


AnyNode = Glue | Call | Move | Branch | Loop | Try | Capture | Limit | Group | Return | Break | Continue


class Block(msgspec.Struct, frozen=True):
    """Nodes in program order."""

    nodes: tuple[AnyNode, ...] = ()


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of the workflow. ``annotation`` is its text; ``default`` the default's text."""

    name: str
    kind: Literal["positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"]
    annotation: str = ""
    default: str | None = None


class Note(msgspec.Struct, frozen=True):
    """Something ``weft check`` tells: what makes a loop sequential, a step call that is not a task."""

    code: str
    span: Span
    message: str


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow, compiled.

    Attributes:
        free: captured variables of the function: environment name → local name; their values are taken
            when the run starts, like parameters.
        result: the environment name of what the workflow returns.
        judged: the functions of the project whose source told the compiler what a call of them may change:
            module and qualified name → fingerprint.
        debug: the value of ``__debug__`` that the plain call has (``python -O`` strips ``assert``).
        python: the version that compiled it, such as ``3.11``.
        parts: (name, digest or version) of each function, class, constant, module and package that its steps
            use. To say what changed since; no key is made of it.
    """

    version: int = PROGRAM_VERSION
    name: str
    module: str
    qualname: str
    file: str
    doc: str = ""
    parameters: tuple[Parameter, ...] = ()
    units: tuple[Unit, ...] = ()
    steps: tuple[StepSpec, ...] = ()
    body: Block = Block()
    free: dict[str, str] = {}
    result: str = "@return"
    node_count: int = 0
    notes: tuple[Note, ...] = ()
    judged: dict[str, str] = {}
    debug: bool = True
    python: str = ""
    parts: tuple[tuple[str, str], ...] = ()

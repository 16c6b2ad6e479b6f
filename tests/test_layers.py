"""The house: which room of ``src/weft`` may import which. Read from the source, nothing is imported.

A room is named by the longest prefix that the table holds, so ``store.codecs`` may have rules of its own.
Imports for types only (``if TYPE_CHECKING:``) are allowed where a door's type is announced, and there alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "weft"

FLOOR = ("errors", "seams", "digest", "clock", "settings", "distributions")
VALUES = ("store.codecs", "store.durable", "store.blobs", "store.artifacts", "store.faults")
RUNNING = (*FLOOR, "model", "program", "lang", "store", "machine", "worker", "executors", "driver")
DOMAIN = (*RUNNING, "client", "triggers")

# Room -> the rooms that it may import, besides itself.
ALLOWED: dict[str, tuple[str, ...]] = {
    "errors": (),
    "digest": ("errors",),
    "clock": ("errors", "seams"),
    "settings": ("errors", "seams"),
    "distributions": ("errors",),
    "seams": (),
    "model": FLOOR,
    "program": (*FLOOR, "model"),
    "lang": (*FLOOR, "model", "program"),
    "store": (*FLOOR, "model", "program"),
    "store.faults": ("errors",),
    "store.codecs": (*FLOOR, "model", "store.faults"),
    "store.durable": ("store.codecs",),
    "store.blobs": (*FLOOR, "model", "store.codecs", "store.durable", "store.faults"),
    "store.artifacts": (*FLOOR, "model", *VALUES),
    "machine": ("errors", "digest", "model", "program"),
    # The seam knows, too, that a worker imports user code now, where starting a run would never end.
    "worker": (*FLOOR, "model", "program", "lang", *VALUES),
    "executors": (*FLOOR, "model", "program", "worker", *VALUES),
    "driver": RUNNING,
    "client": RUNNING,
    "triggers": (*RUNNING, "client"),
    "testing": (*RUNNING, "client"),
    "export": DOMAIN,
    "notebook": DOMAIN,
    "server": (*DOMAIN, "lifecycle", "export", "notebook", ""),
    "cli": (*DOMAIN, "testing", "lifecycle", "export", "notebook", "server", ""),
    "app": (),
    "": ("lang", "seams"),  # weft/__init__.py
}
# Slices of lifecycle/ stand side by side: they never import each other.
LIFECYCLE = DOMAIN

# Modules that announce the type of a door of an upper room.
TYPES_ONLY = {"weft", "weft.lang.workflows"}

# Libraries that only one room touches.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "sqlite3": ("store",),
    "apsw": ("store",),
    "psycopg": ("store",),
    "numpy": ("store.codecs",),
    "pandas": ("store.codecs",),
    "polars": ("store.codecs",),
    "pyarrow": ("store.codecs",),
    "safetensors": ("store.codecs",),
    "click": ("cli",),
    "pytest": ("testing",),
    "rich": ("cli",),
}
# A pure room does no input or output, knows no time, and draws no random number.
PURE = {"model", "machine", "program"}
IMPURE_LIBRARIES = (
    "asyncio io logging multiprocessing os pathlib random secrets select shutil signal socket sqlite3 "
    "subprocess sys tempfile threading time uuid"
)  # fmt: skip


@dataclass(frozen=True)
class Import:
    """One import: ``module`` at ``path:line`` imports ``target`` (dotted)."""

    module: str
    target: str
    line: int
    in_function: bool
    for_types: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    """Return the dotted name of a source file."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports_of(module: str, tree: ast.AST) -> list[Import]:
    """Return all imports in ``tree``; names imported from a package count as its modules where they are."""
    return list(_walk(module, tree, in_function=False, for_types=False))


def _walk(module: str, node: ast.AST, *, in_function: bool, for_types: bool) -> Iterator[Import]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for target in _targets(module, node):
            yield Import(module, target, node.lineno, in_function, for_types)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "deferred":
        target = ast.literal_eval(node.args[0])  # imported at its first use: an import like others
        yield Import(module, target, node.lineno, in_function, for_types)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        in_function = True
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for child in node.body:
            yield from _walk(module, child, in_function=in_function, for_types=True)
        for child in node.orelse:
            yield from _walk(module, child, in_function=in_function, for_types=for_types)
        return
    for child in ast.iter_child_nodes(node):
        yield from _walk(module, child, in_function=in_function, for_types=for_types)


def _targets(module: str, node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        is_package = FILES.get(module, Path()).name == "__init__.py"
        parts = module.split(".")
        home = parts[: len(parts) - node.level + (1 if is_package else 0)]
        base = ".".join([*home, base] if base else home)
    if base != "weft" and not base.startswith("weft."):
        return [base]
    return [whole if (whole := f"{base}.{alias.name}") in FILES else base for alias in node.names]


def ours(target: str) -> bool:
    """Whether the import is of Weft itself."""
    return target == "weft" or target.startswith("weft.")


def room_of(module: str) -> str:
    """Return the longest name in the table that ``module`` lies in."""
    inner = module.removeprefix("weft").removeprefix(".")
    if inner.startswith("lifecycle."):
        return ".".join(inner.split(".")[:2])
    parts = inner.split(".")
    for size in range(len(parts), 0, -1):
        if (name := ".".join(parts[:size])) in ALLOWED:
            return name
    return inner.split(".")[0]


def lies_in(inner: str, room: str) -> bool:
    """Whether the module or room ``inner`` is ``room`` or inside it."""
    return inner == room or inner.startswith(room + ".")


def may_import(module: str, target: str) -> bool:
    """Return whether the table allows it."""
    room, goal = room_of(module), room_of(target)
    if goal == room or (room and lies_in(goal, room)):
        return True
    allowed = LIFECYCLE if room.startswith("lifecycle.") else ALLOWED[room]
    return any(lies_in(goal, one) for one in allowed)


ALL = [one for name, path in FILES.items() for one in imports_of(name, ast.parse(path.read_text("utf-8")))]


def test_each_module_belongs_to_a_room():
    known = [*ALLOWED, "lifecycle"]
    homeless = [name for name in FILES if room_of(name).split(".")[0] not in known]
    assert homeless == []


def test_rooms_import_only_the_rooms_that_they_may():
    wrong = [
        str(one)
        for one in ALL
        if ours(one.target) and not one.for_types and not may_import(one.module, one.target)
    ]
    assert wrong == [], "style.md, the rooms: put the code into the first room that has all it needs"


def test_types_of_upper_rooms_are_announced_by_the_doors_only():
    wrong = [
        str(one)
        for one in ALL
        if ours(one.target)
        and one.for_types
        and one.module not in TYPES_ONLY
        and not may_import(one.module, one.target)
    ]
    assert wrong == []


def test_nothing_of_ours_is_imported_inside_a_function():
    assert [str(one) for one in ALL if ours(one.target) and one.in_function] == []


def loaded_by_name(tree: ast.AST) -> list[str]:
    """Return the modules of ours that ``import_module("weft...")`` names."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [
        call for call in calls if ast.unparse(call.func).split(".")[-1] in ("import_module", "__import__")
    ]
    constants = [arg.value for call in named for arg in call.args[:1] if isinstance(arg, ast.Constant)]
    return [name for name in constants if ours(str(name))]


def test_only_the_seam_loads_modules_of_other_rooms_by_name():
    wrong = [
        f"{module} loads {target}"
        for module, path in FILES.items()
        for target in loaded_by_name(ast.parse(path.read_text("utf-8")))
        if module != "weft.seams" and room_of(module) != room_of(target)
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others():
    graph: dict[str, set[str]] = {name: set() for name in FILES}
    for one in ALL:
        if ours(one.target) and not one.for_types and one.target in FILES and one.target != one.module:
            graph[one.module].add(one.target)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("a type lives too high, move it down: " + " <- ".join(error.args[1]))


def test_a_library_is_touched_by_its_room_only():
    wrong = [
        str(one)
        for one in ALL
        if not one.for_types
        and (rooms := LIBRARIES.get(one.target.split(".")[0]))
        and not any(lies_in(one.module.removeprefix("weft."), room) for room in rooms)
    ]
    assert wrong == []


def test_pure_rooms_import_nothing_impure():
    impure = set(IMPURE_LIBRARIES.split())
    wrong = [
        str(one)
        for one in ALL
        if room_of(one.module).split(".")[0] in PURE
        and one.target.split(".")[0] in impure
        and not one.for_types
    ]
    assert wrong == []


def test_the_architecture_page_has_a_row_for_each_room():
    page = (SOURCE.parents[1] / "docs" / "architecture.md").read_text("utf-8")
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    rooms = {room_of(name).split(".")[0] for name in FILES} - {""}
    assert [room for room in sorted(rooms) if f"`{room}`" not in rows] == []


def doors() -> dict[str, str]:
    """Return the table of names that are loaded at first use, as ``app`` states it."""
    for node in ast.parse((SOURCE / "app.py").read_text("utf-8")).body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if (
            isinstance(target, ast.Name)
            and target.id == "DOORS"
            and isinstance(node, ast.AnnAssign)
            and node.value
        ):
            return dict(ast.literal_eval(node.value))
    raise AssertionError("weft.app has no DOORS")


@pytest.mark.parametrize("place", sorted(set(doors().values())))
def test_each_door_leads_somewhere(place):
    module, name = place.split(":")
    tree = ast.parse(FILES[module].read_text("utf-8"))
    defined = {getattr(node, "name", None) for node in tree.body}
    defined |= {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    defined |= {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert name in defined


@pytest.mark.parametrize(
    ("module", "target", "allowed"),
    [
        ("weft.worker.context", "weft.store.codecs.arrays", True),
        ("weft.worker.context", "weft.store.database", False),
        ("weft.worker.context", "weft.store.sqlite", False),
        ("weft.executors.local", "weft.machine.state", False),
        ("weft.executors.local", "weft.store.postgres", False),
        ("weft.machine.core", "weft.clock", False),
        ("weft.model.jobs", "weft.program.nodes", False),
        ("weft.lang.steps", "weft.client.door", False),
        ("weft.store.codecs.arrays", "weft.store.database", False),
        ("weft.store.database", "weft.store.codecs", True),
        ("weft.lifecycle.serving.ab", "weft.lifecycle.registry", False),
        ("weft.lifecycle.serving.ab", "weft.store.database", True),
        ("weft.cli.main", "weft.driver.loop", True),
    ],
)
def test_the_table_says_what_the_house_says(module, target, allowed):
    assert may_import(module, target) is allowed


def test_the_reader_sees_each_way_to_import():
    text = (
        "import weft.store.database\n"
        "from . import jobs\n"
        "from ..errors import UserError\n"
        "def inner():\n    from weft.model import states\n"
        "if TYPE_CHECKING:\n    from weft.client import Run\n"
    )
    found = imports_of("weft.model.values", ast.parse(text))
    assert [(one.target, one.in_function, one.for_types) for one in found] == [
        ("weft.store.database", False, False),
        ("weft.model.jobs", False, False),
        ("weft.errors", False, False),
        ("weft.model.states", True, False),
        ("weft.client", False, True),
    ]

"""Which loops run in sequence, and why: what may end a loop, what keeps its place, what a call reads that an
earlier iteration's call has made. The last is for people only: at run time the machine follows the data itself.
"""

from __future__ import annotations

from weft.lang.draft import (
    AnyDraft,
    DBranch,
    DCall,
    DCapture,
    DGroup,
    DLimit,
    DLoop,
    DMove,
    DTry,
    blocks_of,
    glue_of,
    walk,
)
from weft.lang.usage import exits_node, surely_writes, writes_of


def mark_sequences(block: list[AnyDraft]) -> None:
    """Fill ``carried``, ``sequence`` and ``reason`` of all loops, inner ones first."""
    for node in block:
        for inner in blocks_of(node):
            mark_sequences(inner)
        if isinstance(node, DLoop):
            _mark_sequence(node)


def _mark_sequence(loop: DLoop) -> None:
    carried = {env for _, env in loop.targets} if not loop.comprehension else set()
    for body in loop.bodies:
        for child in walk(body):
            carried |= writes_of(child)
    loop.carried = carried | loop.deferred
    leaving = [
        child for body in loop.bodies for child in _own_nodes(body) if exits_node(child) & {"break", "return"}
    ]
    placed = [child for body in loop.bodies for child in walk(body) if child.ordered and not blocks_of(child)]
    if leaving:
        how = sorted(exits_node(leaving[0]) & {"break", "return"})[0]
        loop.sequence, loop.reason = True, f"`{how}` on line {leaving[0].span.line} may end the loop"
    elif placed:
        what = (
            "a step called for its effect"
            if isinstance(placed[0], DCall)
            else "a statement made for its effect"
        )
        loop.sequence, loop.reason = True, f"{what} on line {placed[0].span.line} keeps its place"
    else:
        loop.reason = _dependence(loop)


def _own_nodes(block: list[AnyDraft]) -> list[AnyDraft]:
    """Return the nodes whose ``break`` would leave this loop, and every ``return`` below."""
    found: list[AnyDraft] = []
    for node in block:
        if isinstance(node, DLoop):
            inner = [child for body in node.bodies for child in walk(body)]
            found += [child for child in inner if "return" in exits_node(child)]
            found += _own_nodes(node.orelse)
        else:
            if not (isinstance(node, DGroup)):
                found.append(node)
            for inner_block in blocks_of(node):
                nested = _own_nodes(inner_block)
                if isinstance(node, DGroup):
                    nested = [child for child in nested if exits_node(child) - {"return"}]
                found += nested
    return found


def _dependence(loop: DLoop) -> str:
    """Return why an iteration's calls wait for the iteration before, or nothing."""
    exposed = _Exposed()
    for body in loop.bodies:
        exposed.block(body, {env for _, env in loop.targets})
    written = set().union(*(writes_of(node) for body in loop.bodies for node in walk(body))) - loop.deferred
    made = _reached(loop, _made_by_calls(loop))
    for name, node in exposed.found.items():
        if name in written & made and _moves_a_call(loop, name):
            if name.startswith("@"):
                return f"the items share objects, and line {node.span.line} may change them"
            shown = name.partition("@")[0]
            return f"`{shown}`, read on line {node.span.line}, comes from the iteration before"
    return ""


def _made_by_calls(loop: DLoop) -> set[str]:
    """Return what calls of the body make; what a node around a call writes is known when that call has ended."""
    found: set[str] = set()
    for body in loop.bodies:
        for node in walk(body):
            inside = [node, *_under(node)]
            if any(isinstance(inner, DCall) for inner in inside):
                found |= set().union(*(writes_of(inner) for inner in inside))
    return found


def _reads_of(node: AnyDraft) -> set[str]:
    """Return what a node itself reads before the end of the loop."""
    found = set(node.reads) if isinstance(node, DCall) else set()
    if isinstance(node, DMove):
        found.add(node.value)
    return found.union(*(glue.reads for glue in glue_of(node) if glue.defer is None))


def _reached(loop: DLoop, names: set[str]) -> set[str]:
    """Return the names whose value may depend on ``names``, through data or through a decision."""
    found, before = set(names), -1
    while len(found) != before:
        before = len(found)
        for body in loop.bodies:
            for node in walk(body):
                if _reads_of(node) & found:
                    found |= set().union(writes_of(node), *(writes_of(inner) for inner in _under(node)))
    return found


def _under(node: AnyDraft) -> list[AnyDraft]:
    return [inner for block in blocks_of(node) for inner in walk(block)]


def _moves_a_call(loop: DLoop, name: str) -> bool:
    """Return whether a call of the body waits for ``name``."""
    reached = _reached(loop, {name})
    for body in loop.bodies:
        for node in walk(body):
            if _reads_of(node) & reached and any(isinstance(inner, DCall) for inner in [node, *_under(node)]):
                return True
    return False


class _Exposed:
    """Finds reads of names that the same iteration has not bound. State: ``found``, name → first reader."""

    def __init__(self) -> None:
        self.found: dict[str, AnyDraft] = {}

    def block(self, nodes: list[AnyDraft], bound: set[str]) -> set[str]:
        """Look at a block that starts with ``bound``, and return what is bound after it."""
        bound = set(bound)
        for node in nodes:
            own = {node.error} if isinstance(node, DTry) else set()
            for name in sorted(_reads_of(node) - bound - own):
                self.found.setdefault(name, node)
            self.inside(node, bound)
            bound |= surely_writes(node)
        return bound

    def inside(self, node: AnyDraft, bound: set[str]) -> None:
        match node:
            case DLoop():
                for body in node.bodies:
                    self.block(body, bound | {env for _, env in node.targets})
                self.block(node.orelse, bound)
            case DTry():
                after = self.block(node.body, bound)
                self.block(node.orelse, after)
                for handler in node.handlers:
                    self.block(handler.block, bound | {node.error, handler.name or node.error})
                self.block(node.final, bound | {node.error})
            case DBranch() | DGroup() | DCapture() | DLimit():
                for block in blocks_of(node):
                    self.block(block, bound)

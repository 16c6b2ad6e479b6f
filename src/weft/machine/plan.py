"""What can be known of a program before it runs: who may write which name, and what tasks are called."""

from __future__ import annotations

from weft.machine.needs import needs_of
from weft.program.nodes import (
    AnyNode,
    Block,
    Branch,
    Call,
    Capture,
    Glue,
    Group,
    Limit,
    Loop,
    Move,
    Program,
    Try,
)


class BlockPlan:
    """A block with, for each name, the places of the nodes that may write it, last first.

    ``in_try``: a failure in here may be handled, so the names as they stood matter. ``reads``: for each place
    the names that its glue or call needs before it can start.
    """

    __slots__ = ("in_try", "nodes", "reads", "writers", "writes")

    def __init__(
        self,
        nodes: tuple[AnyNode, ...],
        reads: list[tuple[str, ...]],
        writes: list[frozenset[str]],
        in_try: bool,
    ) -> None:
        self.nodes = nodes
        self.reads = reads
        self.in_try = in_try
        self.writes: frozenset[str] = frozenset().union(*writes)
        self.writers: dict[str, tuple[int, ...]] = {}
        for place in range(len(nodes) - 1, -1, -1):
            for name in writes[place]:
                self.writers[name] = (*self.writers.get(name, ()), place)


class Plan:
    """A program, indexed.

    Attributes:
        nodes: node id → node.
        blocks: id of a ``Block`` object → its plan.
        needs: id of a ``Limit`` node → the names that its body may read from around it.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: dict[int, AnyNode] = {}
        self.blocks: dict[int, BlockPlan] = {}
        self.paths: dict[int, tuple[tuple[str, int], ...]] = {}
        self.needs: dict[int, tuple[str, ...]] = {}
        self._block(program.body, (), 0, False)
        self._plain_paths = {node: "/".join(name for name, _ in path) for node, path in self.paths.items()}

    def block(self, block: Block) -> BlockPlan:
        return self.blocks[id(block)]

    def _block(
        self, block: Block, groups: tuple[tuple[str, int], ...], depth: int, in_try: bool
    ) -> frozenset[str]:
        writes = [self._node(node, groups, depth, in_try) for node in block.nodes]
        plan = BlockPlan(block.nodes, [self._reads(node) for node in block.nodes], writes, in_try)
        self.blocks[id(block)] = plan
        return plan.writes

    def _reads(self, node: AnyNode) -> tuple[str, ...]:
        if not isinstance(node, (Call, Glue)):
            return ()
        names = dict.fromkeys(node.code.reads.values())
        if node.handling is not None:
            names[node.handling] = None
        if isinstance(node, Glue) and node.defer is not None:
            loop = self.nodes[node.defer]
            assert isinstance(loop, Loop)
            # What the loop's deferred glue makes, it hands on to itself.
            return tuple(name for name in names if name not in loop.deferred)
        return tuple(names)

    def _node(
        self, node: AnyNode, groups: tuple[tuple[str, int], ...], depth: int, in_try: bool
    ) -> frozenset[str]:
        self.nodes[node.id] = node
        name = node.path if isinstance(node, (Call, Group)) else f"line {node.span.line}"
        self.paths[node.id] = (*groups, (name, depth))
        match node:
            case Glue():
                return frozenset(node.code.writes.values())
            case Call():
                return frozenset([node.out] if node.out else [])
            case Move():
                return frozenset([node.out])
            case Branch():
                found = self._node(node.test, groups, depth, in_try)
                return found.union(*(self._block(arm, groups, depth, in_try) for arm in node.arms))
            case Loop():
                return self._loop(node, groups, depth, in_try)
            case Try():
                return self._try(node, groups, depth, in_try)
            case Capture():
                return self._block(node.body, groups, depth, True) | {node.error}
            case Limit():
                found = self._block(node.body, groups, depth, in_try)
                self.needs[node.id] = tuple(sorted(needs_of(node.body, self._reads)))
                return found
            case Group():
                inside = self._block(node.body, self.paths[node.id], depth, in_try)
                return inside | {node.result}
            case _:
                return frozenset()

    def _loop(
        self, node: Loop, groups: tuple[tuple[str, int], ...], depth: int, in_try: bool
    ) -> frozenset[str]:
        found = frozenset(node.targets) | frozenset(node.carried) | frozenset(node.deferred)
        for glue in (*([node.source] if node.source else ()), *node.prelude):
            found |= self._node(glue, groups, depth, in_try)
        for body in node.bodies:
            found |= self._block(body, groups, depth + 1, in_try)
        return found | self._block(node.orelse, groups, depth, in_try)

    def _try(
        self, node: Try, groups: tuple[tuple[str, int], ...], depth: int, in_try: bool
    ) -> frozenset[str]:
        found = self._block(node.body, groups, depth, True)
        if node.match is not None:
            found |= self._node(node.match, groups, depth, in_try)
        inside = in_try or bool(node.final.nodes)
        for handler in node.handlers:
            found |= self._block(handler.block, groups, depth, inside)
            found |= frozenset([handler.name] if handler.name else [])
        return (
            found
            | self._block(node.orelse, groups, depth, inside)
            | self._block(node.final, groups, depth, in_try)
        )

    def task_path(self, node: int, index: tuple[int, ...]) -> str:
        """Return the path that people see: ``train``, ``train[3]``, ``outer[2]/train[5]``, ``line 27[3]``."""
        if not index:
            return self._plain_paths[node]
        parts = []
        shown = 0
        for name, depth in self.paths[node]:
            turns = index[shown:depth]
            shown = depth
            parts.append(f"{name}[{','.join(map(str, turns))}]" if turns else name)
        return "/".join(parts)

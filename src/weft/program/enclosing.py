"""What stands around each node of a program: the blocks that it lies in, and who holds them."""

from __future__ import annotations

from typing import NamedTuple

from weft.program.nodes import AnyNode, Block, Loop, Program
from weft.program.tree import all_glue, blocks_of


class Around(NamedTuple):
    """One block on the way to a node, which lies at ``place`` of it, or inside what lies there.

    Attributes:
        owner: the node that holds the block as its block number ``part``; None for the program's own.
        depth: how many loops lie around the block.
    """

    block: Block
    place: int
    owner: AnyNode | None = None
    part: int = 0
    depth: int = 0

    @property
    def node(self) -> AnyNode:
        """The node at the place."""
        return self.block.nodes[self.place]

    @property
    def above(self) -> tuple[AnyNode, ...]:
        """The nodes of the block that stand above it, in program order."""
        return self.block.nodes[: self.place]


def enclosing(program: Program) -> dict[int, tuple[Around, ...]]:
    """Return the way to every node by its id, from the outermost block to its own.

    Glue that belongs to a node, such as the test of a branch, has the way of that node.
    """
    found: dict[int, tuple[Around, ...]] = {}
    _enter(program.body, None, 0, 0, (), found)
    return found


def _enter(
    block: Block,
    owner: AnyNode | None,
    part: int,
    depth: int,
    outside: tuple[Around, ...],
    found: dict[int, tuple[Around, ...]],
) -> None:
    for place, node in enumerate(block.nodes):
        way = (*outside, Around(block, place, owner, part, depth))
        found[node.id] = way
        found.update((glue.id, way) for glue in all_glue(node))
        for number, inner in enumerate(blocks_of(node)):
            # The `else` of a loop, its last block, is outside its iterations.
            turns = isinstance(node, Loop) and number < len(node.bodies)
            _enter(inner, node, number, depth + turns, way, found)

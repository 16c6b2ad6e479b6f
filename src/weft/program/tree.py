"""Walking a program."""

from __future__ import annotations

from collections.abc import Iterator

from weft.program.nodes import AnyNode, Block, Branch, Capture, Glue, Group, Limit, Loop, Try


def blocks_of(node: AnyNode) -> tuple[Block, ...]:
    """Return the blocks inside a node, in program order."""
    match node:
        case Branch():
            return node.arms
        case Loop():
            return (*node.bodies, node.orelse)
        case Try():
            return (node.body, *(handler.block for handler in node.handlers), node.orelse, node.final)
        case Capture() | Limit() | Group():
            return (node.body,)
        case _:
            return ()


def all_glue(node: AnyNode) -> tuple[Glue, ...]:
    """Return the glue that belongs to a composite node itself: a test, a source, a prelude, a match."""
    match node:
        case Branch():
            return (node.test,)
        case Loop():
            return (*((node.source,) if node.source else ()), *node.prelude)
        case Try():
            return (node.match,) if node.match else ()
        case _:
            return ()


def walk(block: Block) -> Iterator[AnyNode]:
    """Yield every node of a block and of the blocks inside it, in program order."""
    for node in block.nodes:
        yield node
        for inner in blocks_of(node):
            yield from walk(inner)

"""Which names a block may read from around it: what a ``with limit`` waits for before it asks for slots.

A limit that held its slots while its body waits for what stands above could wait for ever: what stands above
may need the same slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    Try,
)

Reads = Callable[[AnyNode], Iterable[str]]


def needs_of(block: Block, reads: Reads) -> set[str]:
    """Return the names that a block may read and has not bound itself by then.

    Args:
        reads: the names that a piece of glue, or a call, needs before it can start.
    """
    found: set[str] = set()
    bound: set[str] = set()
    for node in block.nodes:
        found |= _needs(node, reads) - bound
        bound |= _surely_bound(node)
    return found


def _needs(node: AnyNode, reads: Reads) -> set[str]:
    match node:
        case Glue() | Call():
            return set(reads(node))
        case Move():
            return {node.value}
        case Branch():
            arms = _needs_of_all(node.arms, reads) - _surely_bound(node.test)
            return arms | set(reads(node.test))
        case Loop():
            inside = _needs_of_all(node.bodies, reads) - set(node.targets)
            code = [node.source, *node.prelude] if node.source is not None else node.prelude
            return inside.union(node.deferred, needs_of(node.orelse, reads), *map(reads, code))
        case Try():
            return _needs_of_try(node, reads)
        case Capture() | Limit() | Group():
            return needs_of(node.body, reads)
        case _:
            return set()


def _needs_of_all(blocks: Iterable[Block], reads: Reads) -> set[str]:
    return set().union(*(needs_of(block, reads) for block in blocks))


def _needs_of_try(node: Try, reads: Reads) -> set[str]:
    found = needs_of(node.body, reads) | _needs_of_all([node.final], reads)
    found |= needs_of(node.orelse, reads) - _bound_in(node.body)
    for handler in node.handlers:
        found |= needs_of(handler.block, reads) - {handler.name or ""}
    if node.match is not None:
        found.update(reads(node.match))
    found.discard(node.error)
    return found | ({node.handling} if node.handling else set())


def _surely_bound(node: AnyNode) -> set[str]:
    match node:
        case Glue():
            # What deferred glue binds is known only when its loop has ended.
            return set(node.code.writes.values()) if node.defer is None else set()
        case Call() | Move():
            return {node.out} if node.out else set()
        case Branch():
            return _surely_bound(node.test) | _bound_in_each(node.arms)
        case Try():
            ways = [_bound_in(node.body) | _bound_in(node.orelse)]
            ways += [_bound_in(handler.block) for handler in node.handlers]
            return set.intersection(*ways) | _bound_in(node.final)
        case Limit():
            return _bound_in(node.body)
        case Group():
            return _bound_in(node.body) | {node.result}
        case _:
            return set()


def _bound_in(block: Block) -> set[str]:
    return set().union(*map(_surely_bound, block.nodes))


def _bound_in_each(blocks: tuple[Block, ...]) -> set[str]:
    return set.intersection(*map(_bound_in, blocks)) if blocks else set()

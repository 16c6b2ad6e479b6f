"""Neighbouring glue becomes one node, because each node has a price."""

from __future__ import annotations

from weft.lang.draft import AnyDraft, DBranch, DGlue, blocks_of
from weft.lang.names import names_of
from weft.lang.usage import envs_of


def merge_glue(block: list[AnyDraft]) -> None:
    """Join neighbouring glue that waits for the same things, and temporaries with the test they feed."""
    merged: list[AnyDraft] = []
    for node in block:
        for inner in blocks_of(node):
            merge_glue(inner)
        last = merged[-1] if merged else None
        if isinstance(last, DGlue) and isinstance(node, DGlue) and _mergeable(last, node):
            _join(last, node)
            continue
        if isinstance(last, DGlue) and isinstance(node, DBranch) and _feeds(last, node.test):
            merged.pop()
            _join(last, node.test)
            last.arm, last.arm_body = node.test.arm, node.test.arm_body
            node.test = last
        merged.append(node)
    block[:] = merged


def _same_place(one: DGlue, other: DGlue) -> bool:
    return (
        one.scope is other.scope
        and one.handling == other.handling
        and one.in_loop is other.in_loop
        and one.defer is other.defer
        and one.ordered == other.ordered
        and not (one.checked or other.checked)
    )


def _mergeable(one: DGlue, other: DGlue) -> bool:
    plain = one.arm is None and one.arm_body is None and one.items is None and other.items is None
    if not plain or not _same_place(one, other) or not other.reads - one.binds <= one.reads:
        return False
    # A name that one binds and the other deletes must be seen to go.
    return not envs_of(other, names_of(other.stmts).deletes) - one.reads


def _feeds(one: DGlue, test: DGlue) -> bool:
    only_temps = all(env.startswith("@") for env in one.binds | one.writes) and bool(one.binds)
    return one.arm is None and one.defer is None and not one.exits and only_temps and _same_place(one, test)


def _join(one: DGlue, other: DGlue) -> None:
    one.stmts = [*one.stmts, *other.stmts]
    one.exits = one.exits | other.exits
    one.guard = one.guard or other.guard
    one.reads = one.reads | (other.reads - one.binds)
    one.binds = one.binds | other.binds
    one.writes = one.writes | other.writes
    one.extra = (one.extra | other.extra) - one.binds
    groups = [set(group) for group in one.groups]
    for group in map(set, other.groups):
        near = [old for old in groups if old & group]
        groups = [old for old in groups if not old & group] + [group.union(*near)]
    one.groups = [tuple(sorted(group)) for group in groups]

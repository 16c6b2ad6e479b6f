"""Glue that only collects waits for the end of its loop, so that it holds no call back."""

from __future__ import annotations

from weft.lang.draft import (
    AnyDraft,
    DBranch,
    DCall,
    DCapture,
    DGlue,
    DGroup,
    DLimit,
    DLoop,
    DMove,
    DTry,
    blocks_of,
    glue_of,
    walk,
)


def defer_glue(block: list[AnyDraft]) -> None:
    """Give each loop the glue that may wait for its end: it collects, and nothing in the body reads it."""
    for _place, node in enumerate(list(block)):
        if isinstance(node, DLoop):
            _defer_in(node)
            _take_prelude(block, block.index(node), node)
        for inner in blocks_of(node):
            defer_glue(inner)
        if isinstance(node, DLoop):
            stuck = [glue for glue in node.prelude if glue.defer is None]
            node.prelude = [glue for glue in node.prelude if glue.defer is not None]
            block[block.index(node) : block.index(node)] = stuck


def _defer_in(loop: DLoop) -> None:
    candidates = {glue for body in loop.bodies for glue in _candidates(body)}
    others: list[AnyDraft] = [node for body in loop.bodies for node in walk(body)]
    while True:
        reads, writes = _uses_of_others(others, candidates)
        writes |= {env for _, env in loop.targets}  # Each item binds them anew.
        blocked = {g for g in candidates if (g.writes | g.binds) & (reads | writes)}
        if not blocked:
            break
        candidates -= blocked
    for glue in candidates:
        glue.defer = loop
        loop.deferred |= glue.writes | glue.binds
    for glue in loop.prelude:
        if glue.defer is None and glue.binds | glue.writes <= loop.deferred:
            glue.defer = loop


def _candidates(block: list[AnyDraft]) -> list[DGlue]:
    found: list[DGlue] = []
    for node in block:
        match node:
            case DGlue():
                if node.defer is None and not (node.ordered or node.guard or node.exits):
                    found.append(node)
            case DBranch() | DGroup() | DLimit():
                for inner in blocks_of(node):
                    found += _candidates(inner)
            case DLoop():
                for inner in node.bodies:
                    found += _candidates(inner)
                found += [glue for glue in node.prelude if glue.defer is None]
            case _:
                continue
    return found


def _uses_of_others(nodes: list[AnyDraft], candidates: set[DGlue]) -> tuple[set[str], set[str]]:
    reads: set[str] = set()
    writes: set[str] = set()
    for node in nodes:
        for glue in glue_of(node):
            if glue not in candidates:
                reads |= glue.reads
                writes |= glue.writes | glue.binds
        match node:
            case DCall():
                reads |= node.reads
                writes |= {node.out} if node.out else set()
            case DMove():
                reads.add(node.value)
                writes.add(node.out)
            case DTry():
                reads.add(node.error)
                writes |= {handler.name for handler in node.handlers if handler.name}
            case DGroup():
                reads.add(node.result)
            case DCapture():
                writes.add(node.error)
            case DLoop():
                writes |= {env for _, env in node.targets}
    return reads, writes


def _take_prelude(block: list[AnyDraft], place: int, loop: DLoop) -> None:
    """Move ``out = []`` that stands directly before the loop to the loop's deferred glue."""
    while place > 0:
        before = block[place - 1]
        if not (
            isinstance(before, DGlue)
            and before.binds
            and not (before.reads or before.extra or before.ordered or before.guard or before.handling)
            and before.defer is None
            and before.arm is None
            and (before.writes | before.binds) <= loop.deferred
            and not _source_reads(loop) & before.binds
        ):
            return
        before.defer = loop
        loop.prelude.insert(0, before)
        del block[place - 1]
        place -= 1


def _source_reads(loop: DLoop) -> set[str]:
    return loop.source.reads if loop.source else set()

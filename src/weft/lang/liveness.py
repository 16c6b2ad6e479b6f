"""Which names may still be read, after each node of the draft."""

from __future__ import annotations

import msgspec

from weft.lang.draft import (
    AnyDraft,
    DBranch,
    DBreak,
    DCall,
    DCapture,
    DContinue,
    DGlue,
    DGroup,
    DLimit,
    DLoop,
    DMove,
    DReturn,
    DTry,
)
from weft.lang.usage import sure_binds


class Jumps(msgspec.Struct):
    """Names that are live where a jump would land."""

    returns: set[str]
    breaks: set[str] | None = None
    continues: set[str] | None = None
    fails: set[str] | None = None


class Liveness:
    """Which names may still be read after each node: backward over the structured draft.

    ``inside``: for a composite node, which may be read after its test, its source or its match.
    ``caught``: which may be read if the node fails.
    """

    def __init__(self) -> None:
        self.caught: dict[AnyDraft, set[str]] = {}
        self.inside: dict[AnyDraft, set[str]] = {}
        self.after: dict[AnyDraft, set[str]] = {}

    def block(self, nodes: list[AnyDraft], out: set[str], jumps: Jumps) -> set[str]:
        """Note what lives after each node and return what lives before the first."""
        live = set(out)
        for node in reversed(nodes):
            if jumps.fails:
                self.caught[node] = jumps.fails
                live |= jumps.fails
            leaving = _exit_live(node, jumps) if isinstance(node, DGlue) else set()
            self.after[node] = self.after.get(node, set()) | live | leaving
            live = self.node(node, live, jumps)
        return live | (jumps.fails or set())

    def node(self, node: AnyDraft, out: set[str], jumps: Jumps) -> set[str]:
        match node:
            case DGlue():
                return (out - sure_binds(node)) | node.reads | _exit_live(node, jumps)
            case DCall():
                return (out - {node.out}) | node.reads
            case DMove():
                return (out - {node.out}) | {node.value}
            case DReturn():
                return set(jumps.returns)
            case DBreak():
                return set(jumps.breaks or ())
            case DContinue():
                return set(jumps.continues or ())
            case DBranch():
                inside = self.inside[node] = set().union(*(self.block(arm, out, jumps) for arm in node.arms))
                return inside | node.test.reads
            case DLoop():
                return self._loop(node, out, jumps)
            case DTry():
                return self._try(node, out, jumps)
            case DGroup():
                return self.block(node.body, out, Jumps(returns=set(out), fails=jumps.fails))
            case DCapture():
                return self.block(node.body, out, Jumps(returns=jumps.returns, fails=set(out)))
            case DLimit():
                return self.block(node.body, out, jumps)

    def _loop(self, node: DLoop, out: set[str], jumps: Jumps) -> set[str]:
        after = self.block(node.orelse, out, jumps)
        head, before = set(after), -1
        targets = {env for _, env in node.targets}
        while len(head) != before:
            before = len(head)
            for body in reversed(node.bodies):
                inner = msgspec.structs.replace(jumps, breaks=set(out), continues=set(head))
                head |= self.block(body, head, inner) - targets
        self.inside[node] = head.union(targets, *(glue.reads for glue in node.prelude))
        reads = node.source.reads if node.source else set()
        return head.union(reads, *(glue.reads for glue in node.prelude))

    def _try(self, node: DTry, out: set[str], jumps: Jumps) -> set[str]:
        # ``finally`` runs on every way out, so what it reads lives on all of them.
        everywhere = (
            (jumps.fails or set()) | jumps.returns | (jumps.breaks or set()) | (jumps.continues or set())
        )
        final_out = set(out) | (everywhere | {node.error} if node.final else set())
        final = self.block(node.final, final_out, jumps) | ({node.error} if node.final else set())
        way = msgspec.structs.replace(
            jumps,
            returns=jumps.returns | final if node.final else jumps.returns,
            fails=(jumps.fails or set()) | final if node.final else jumps.fails,
            breaks=None if jumps.breaks is None else jumps.breaks | final,
            continues=None if jumps.continues is None else jumps.continues | final,
        )
        caught = set(node.match.reads) if node.match else set()
        for handler in node.handlers:
            caught |= self.block(handler.block, final, way) - {handler.name}
        orelse = self.block(node.orelse, final, way)
        self.inside[node] = caught
        # Whatever fails brings the exception with it.
        fails = ((way.fails or set()) | caught | final) - {node.error}
        before = self.block(node.body, orelse, msgspec.structs.replace(way, fails=fails))
        return before | {node.handling} if node.handling is not None else before


def _exit_live(node: DGlue, jumps: Jumps) -> set[str]:
    live: set[str] = set()
    if "return" in node.exits:
        live |= jumps.returns
    if "break" in node.exits:
        live |= jumps.breaks or set()
    if "continue" in node.exits:
        live |= jumps.continues or set()
    return live

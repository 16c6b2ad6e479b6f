"""Which names each piece of glue delivers: those that it binds, and those that may reach what it changes."""

from __future__ import annotations

from weft.lang.alias import Aliases
from weft.lang.draft import AnyDraft, DGlue, DLoop, DTry, blocks_of, glue_of, walk
from weft.lang.heap import NONE, Sites
from weft.lang.liveness import Liveness
from weft.lang.usage import sure_binds, writes_of
from weft.program.nodes import RAISED_NAME


class Deliveries:
    """Fills ``writes``, ``extra``, ``groups`` and ``checked`` of all glue, in the order of the text.

    State: ``met``, the names that something may have bound so far. A name that nothing can have bound yet
    has no value that could change.
    """

    def __init__(self, aliases: Aliases, live: Liveness, given: set[str]) -> None:
        self.aliases = aliases
        self.live = live
        self.met = set(given)

    def mark(self, block: list[AnyDraft]) -> None:
        """Mark the glue of a block and of the blocks inside it."""
        for node in block:
            if isinstance(node, DLoop):
                # What a later item binds is there when the next one comes.
                self.met |= _bound_inside(node)
            if not isinstance(node, DTry):
                self._own_glue(node)
            self.met |= writes_of(node)
            for inner in blocks_of(node):
                self.mark(inner)
            if isinstance(node, DTry):
                self._own_glue(node)

    def _own_glue(self, node: AnyDraft) -> None:
        after = self.live.after.get(node, set())
        for glue in glue_of(node):
            alive = after | self.live.inside.get(node, set()) if glue is not node else after
            if (
                isinstance(node, DLoop)
                and node.watched
                and node.source is not None
                and glue is not node.source
            ):
                # A prelude runs before the source, which must find one object where the body finds it.
                alive = alive | node.source.reads
            self._mark_glue(glue, alive & (self.met | glue.binds), self.live.caught.get(node, set()))

    def _mark_glue(self, glue: DGlue, alive: set[str], caught: set[str]) -> None:
        aliases = self.aliases
        changed = aliases.facts.changes.get(glue, NONE)
        written = (glue.binds | aliases.reaching(changed)) & alive
        raised = aliases.heap.seen(aliases.heap.reach(aliases.facts.raises[glue])) & aliases.facts.changed
        if caught and raised:
            # What an exception shares with names goes with it, so that a handler's change is seen under both.
            written |= {name for name in alive if aliases.hot.get(name, NONE) & raised}
        written |= aliases.sharing(written, alive - written)
        glue.writes = written
        glue.extra = {name for name in written if name not in glue.binds and name not in glue.reads}
        glue.groups = self._groups(written, raised if caught else NONE)
        # A name that may stay as it is goes along with those that it shares an object with.
        kept = {name for group in glue.groups for name in group} & (glue.binds - (sure_binds(glue) - caught))
        glue.reads = glue.reads | (written - glue.binds) | kept
        unseen = aliases.facts.unseen.get(glue, NONE)
        glue.checked = glue.reads & aliases.reaching(unseen)
        # What changes before everyone's eyes cannot be held against the hidden part of it; it is written whole.
        glue.checked -= written | aliases.reaching(changed)

    def _groups(self, names: set[str], raised: Sites) -> list[tuple[str, ...]]:
        """Return the groups of names that share an object that may change, directly or through one another.

        Args:
            raised: what may change of an exception that is raised, which is then one of the names.
        """
        groups: list[tuple[Sites, set[str]]] = []
        hot = {name: self.aliases.hot[name] for name in sorted(names & self.aliases.hot.keys())}
        for name, sites in [*hot.items(), *([(RAISED_NAME, raised)] if raised else [])]:
            joined = {name}
            apart = []
            for group in groups:
                if group[0] & sites:
                    sites, joined = sites | group[0], joined | group[1]
                else:
                    apart.append(group)
            groups = [*apart, (sites, joined)]
        return [tuple(sorted(joined)) for _, joined in groups if len(joined) > 1]


def _bound_inside(loop: DLoop) -> set[str]:
    found = writes_of(loop)
    for body in loop.bodies:
        for node in walk(body):
            found |= writes_of(node)
    return found

"""From the tree of a program to its flat graph: what flows from where to where.

The walk goes through the program once, in order, with the state of one *flow of control*: which nodes each
name comes from, what everything below must wait for (the gate), and what was placed since. Arms, loop
bodies and handlers are flows of their own that are joined afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.program.canvas import (
    CARRIED,
    NOTHING,
    Canvas,
    Flow,
    Source,
    Sources,
    filled,
    merge,
    without_implied,
)
from weft.program.labels import (
    arm_label,
    excerpt,
    file_of,
    handler_label,
    loop_label,
    parameter_label,
    shorten,
    step_detail,
    test_label,
)
from weft.program.nodes import (
    Block,
    Branch,
    Break,
    Call,
    Capture,
    Code,
    Continue,
    Glue,
    Group,
    Limit,
    Loop,
    Move,
    Node,
    Program,
    Return,
    Try,
)
from weft.program.shapes import (
    FlatGraph,
    GraphNode,
    GraphNote,
    GroupKind,
)


class Walk:
    """The graph so far, and the walk's place in the groups."""

    def __init__(self, program: Program, *, glue: bool) -> None:
        self.program = program
        self.glue = glue
        self.canvas = Canvas(program)
        self.inlined: list[list[Flow]] = []  # for each open workflow group, the flows that returned
        # For each open loop, the flows that went on to the next item, and those that broke out.
        self.loops: list[tuple[list[Flow], list[Flow]]] = []

    # -- names -----------------------------------------------------------------------------------------

    def read(self, flow: Flow, code: Code) -> Sources:
        """Return where the values come from that ``code`` reads, each labelled with its name."""
        found: set[Source] = set()
        for local, name in code.reads.items():
            for source in flow.env.get(name, NOTHING):
                plain = source.kind == "data" and not source.label
                label = local if plain and not local.startswith("@") else source.label
                found.add(Source(source.node, source.kind, label))
        return frozenset(found)

    @staticmethod
    def write(flow: Flow, code: Code, sources: Sources) -> None:
        for name in code.writes.values():
            flow.env[name] = _unlabelled(sources)

    # -- nodes -----------------------------------------------------------------------------------------

    def block(self, flow: Flow, block: Block) -> None:
        for node in block.nodes:
            if flow.ended:
                return
            match node:
                case Call():
                    self.call(flow, node)
                case Glue():
                    self.small(flow, node)
                case Branch():
                    self.branch(flow, node)
                case Loop():
                    self.loop(flow, node)
                case Try():
                    self.attempt(flow, node)
                case Capture():
                    self.block(flow, node.body)
                case Limit():
                    self.limit(flow, node)
                case Group():
                    self.workflow(flow, node)
                case Move():
                    flow.env[node.out] = flow.env.get(node.value, NOTHING)
                case Return():
                    self.leave(flow, node)
                case Break():
                    self.loops[-1][1].append(self.canvas.way_out(flow))
                case Continue():
                    self.loops[-1][0].append(self.canvas.way_out(flow))

    def call(self, flow: Flow, node: Call) -> None:
        spec = self.program.steps[node.step]
        box = self.canvas.box(
            "step", node.path, node, path="/".join((*self.canvas.path, node.path)), detail=step_detail(spec)
        )
        self.canvas.place(flow, box, self.read(flow, node.code), ordered=node.ordered)
        made = frozenset({Source(box.id)})
        self.write(flow, node.code, made)
        if node.out is not None:
            flow.env[node.out] = made

    def small(self, flow: Flow, node: Glue) -> None:
        sources = self.read(flow, node.code)
        text = excerpt(self.program, node.span) or node.code.text.strip()
        if node.guard and text.startswith("raise"):
            self.canvas.place(flow, self.canvas.box("raise", shorten(text), node), sources, ordered=True)
            flow.ended = True
        elif node.guard or self.glue:
            # What may leave on purpose (`assert`, `if bad: return`) is a fork in the road: it is always shown.
            box = self.canvas.box("branch" if node.guard else "glue", shorten(text), node)
            self.canvas.place(flow, box, sources, ordered=node.ordered)
            self.write(flow, node.code, frozenset({Source(box.id)}))
            if node.guard and not node.ordered:
                flow.close_gate(frozenset({Source(box.id, "order")}), ordered=False)
                flow.add(box.id)
        else:
            self.write(flow, node.code, sources)

    def branch(self, flow: Flow, node: Branch) -> None:
        label = test_label(self.program, node.test.span)
        box = self.canvas.box("branch", label, node)
        self.canvas.place(flow, box, self.read(flow, node.test.code), ordered=node.ordered)
        self.write(flow, node.test.code, frozenset({Source(box.id)}))
        arms = []
        for number, arm in enumerate(node.arms):
            name = arm_label(node, number)
            inner = flow.fork(frozenset({Source(box.id, "branch", name)}))
            before = self.canvas.open_group("arm", name, node, owner=box.id)
            self.block(inner, arm)
            self.canvas.group = before
            arms.append((name, inner))
        if _falls_through(node):
            name = arm_label(node, len(node.arms))
            arms.append((name, flow.fork(frozenset({Source(box.id, "branch", name)}))))
        self.join(flow, node, arms, box.id)

    def join(self, flow: Flow, node: Branch, arms: list[tuple[str, Flow]], box: str) -> None:
        """Make ``flow`` what it is below the branch."""
        going = [(name, arm) for name, arm in arms if not arm.ended]
        if not going:
            flow.ended = True
            return
        changed = {
            name for _, arm in going for name, sources in arm.env.items() if flow.env.get(name) != sources
        }
        for name, arm in going:
            if not arm.since:  # an empty arm decides the value too: show the way around
                for key in changed:
                    arm.env[key] = arm.env.get(key, NOTHING) | {Source(box, "branch", name)}
        flow.env = merge([arm for _, arm in going])
        self.settle(flow, node, [arm for _, arm in going])

    def settle(self, flow: Flow, node: Node, inner: Sequence[Flow]) -> None:
        """Go on below ``node``, whose parts that did not leave are ``inner``."""
        if node.ordered or node.guard:
            gate = frozenset().union(*(self.canvas.exits(part) for part in inner))
            flow.close_gate(gate, ordered=node.ordered)
        for part in inner:
            flow.since.update(part.since)
            flow.placed.update(part.placed)

    def loop(self, flow: Flow, node: Loop) -> None:
        sources = self.read(flow, node.source.code) if node.source else NOTHING
        over = excerpt(self.program, node.source.span) if node.source else f"{len(node.bodies)} items"
        before = self.canvas.open_group(
            "loop",
            loop_label(node, over),
            node,
            over=shorten(over),
            sequence=node.sequence,
            reason=node.reason,
        )
        entry = self.canvas.exits(flow) if node.ordered else flow.gate
        entry |= frozenset(Source(s.node, "order") if s.kind == "data" else s for s in sources)
        key = str(self.canvas.group)
        body = flow.fork(entry)
        left, broken = self.iterate(body, node, key, _unlabelled(sources))
        self.canvas.carry(key, merge([body, *left]))
        through = self.joined(flow, entry, key, [body, *left])
        self.part(through, "else", "else", node, node.orelse)
        ways = [way for way in (through, self.joined(flow, entry, key, broken)) if not way.ended]
        self.canvas.group = before
        flow.env, flow.ended = merge(ways or [through]), not ways
        self.settle(flow, node, ways or [through])

    def iterate(self, body: Flow, node: Loop, key: str, items: Sources) -> tuple[list[Flow], list[Flow]]:
        """Walk the body, and return the ways that go on with the next item and those that break."""
        for name in node.carried:
            body.env[name] = body.env.get(name, NOTHING) | {Source(key, CARRIED, name)}
        for glue in node.prelude:
            self.small(body, glue)
        self.loops.append(([], []))
        for block in node.bodies or (Block(),):
            body.env.update((name, items) for name in node.targets)
            self.block(body, block)
            body.ended = False
        return self.loops.pop()

    @staticmethod
    def joined(flow: Flow, entry: Sources, key: str, ways: list[Flow]) -> Flow:
        """Return the flow after the loop ``key``, before which was ``flow``, where ``ways`` meet."""
        after = flow.fork(entry)
        after.ended = not ways
        for name, found in merge(ways).items():
            after.env[name] = _after_loop(key, flow.env.get(name, NOTHING), found)
        for way in ways:
            after.since.update(way.since)
            after.placed.update(way.placed)
        return after

    def part(self, flow: Flow, kind: GroupKind, label: str, node: Node, block: Block) -> None:
        before = self.canvas.open_group(kind, label, node)
        self.block(flow, block)
        self.canvas.group = before

    def attempt(self, flow: Flow, node: Try) -> None:
        entry = self.canvas.exits(flow) if node.ordered else flow.gate
        start = dict(flow.env)
        body = flow.fork(entry)
        self.part(body, "try", "try", node, node.body)
        failed = (
            frozenset(Source(s.node, "failure") for s in self.canvas.exits(body)) if body.since else entry
        )
        ways = [body]
        if not body.ended and node.orelse.nodes:
            self.part(body, "else", "else", node, node.orelse)
        for handler in node.handlers:
            inner = Flow(
                merge([Flow(start, entry), body]), frozenset(s._replace(label=handler.label) for s in failed)
            )
            if handler.name:
                inner.env[handler.name] = NOTHING
            self.part(inner, "except", handler_label(handler), node, handler.block)
            ways.append(inner)
        going = [way for way in ways if not way.ended]
        after = Flow(merge(going or ways), entry)
        if node.final.nodes:
            ends = frozenset().union(*(self.canvas.exits(way, "finally") for way in ways))
            after.gate = frozenset(Source(s.node, "finally") for s in ends)
            self.part(after, "finally", "finally", node, node.final)
            going = [after] if going else []
        flow.env = after.env
        flow.ended = after.ended or not going
        self.settle(flow, node, going)

    def limit(self, flow: Flow, node: Limit) -> None:
        label = f"limit {node.name}" + (f" ×{node.slots}" if node.slots != 1 else "")
        self.part(flow, "limit", label, node, node.body)

    def workflow(self, flow: Flow, node: Group) -> None:
        outer = self.canvas.path
        self.canvas.path = (*outer, node.path)
        before = self.canvas.open_group("workflow", node.name, node)
        self.inlined.append([])
        inner = flow.fork(self.canvas.exits(flow) if node.ordered else None)
        self.block(inner, node.body)
        returned = self.inlined.pop()
        self.canvas.group, self.canvas.path = before, outer
        going = returned if inner.ended else [inner, *returned]
        flow.env = merge(going or [inner])
        flow.ended = not going  # every way raises
        self.settle(flow, node, [inner, *returned])

    def leave(self, flow: Flow, node: Return) -> None:
        if self.inlined:
            self.inlined[-1].append(self.canvas.way_out(flow))
        else:
            box = self.canvas.box("return", shorten(excerpt(self.program, node.span) or "return"), node)
            sources = flow.env.get(self.program.result, NOTHING)
            self.canvas.place(flow, box, sources, ordered=True)
            flow.ended = True

    # -- the whole -------------------------------------------------------------------------------------

    def start(self) -> Flow:
        names = ", ".join(parameter_label(p.name, p.kind, p.default) for p in self.program.parameters)
        line = self.program.units[0].first_line if self.program.units else 0
        label = f"{self.program.name}({names})"
        self.canvas.nodes.append(
            GraphNode(
                id="start",
                kind="start",
                label=label,
                rank=self.canvas.next_rank(),
                file=self.program.file,
                line=line,
            )
        )
        self.canvas.leaves.add("start")
        env = {parameter.name: frozenset({Source("start")}) for parameter in self.program.parameters}
        return Flow(env, frozenset({Source("start", "order")}))

    def finish(self, flow: Flow) -> None:
        if flow.ended:
            return
        box = GraphNode(id="end", kind="end", label="end", rank=self.canvas.next_rank())
        self.canvas.place(flow, box, NOTHING, ordered=True)

    def graph(self) -> FlatGraph:
        program = self.program
        return FlatGraph(
            name=program.name,
            file=program.file,
            nodes=tuple(self.canvas.nodes),
            edges=tuple(without_implied(self.canvas.nodes, list(self.canvas.edges.values()))),
            groups=tuple(filled(self.canvas.groups, self.canvas.nodes)),
            notes=tuple(
                GraphNote(
                    code=n.code,
                    message=n.message,
                    file=file_of(program, n.span),
                    line=n.span.line,
                    column=n.span.column + 1,
                )
                for n in program.notes
            ),
        )


def walk(program: Program, *, glue: bool = False) -> FlatGraph:
    """Return the flat graph of ``program``."""
    walk = Walk(program, glue=glue)
    flow = walk.start()
    walk.block(flow, program.body)
    walk.finish(flow)
    return walk.graph()


def _unlabelled(sources: Sources) -> Sources:
    return frozenset(Source(s.node) if s.kind == "data" else s for s in sources)


def _after_loop(loop: str, before: Sources, found: Sources) -> Sources:
    # A loop of no items leaves the value from before. That way is not drawn where the loop makes one.
    made = frozenset(s for s in found if s.node != loop)
    return (made - before) or made


def _falls_through(node: Branch) -> bool:
    """Return whether a decision may take no arm. A last arm labelled as the rest takes all that is left."""
    return len(node.arms) < 2 or len(node.labels) > len(node.arms)

"""Why a task has not started: it never will, for what was decided around it; or what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec

from weft.client.why.evidence import Evidence
from weft.client.why.key_changes import shown_value
from weft.client.why.standing import Standing
from weft.machine.events import Instance
from weft.model.journal import JournalEntry
from weft.model.states import RUN_FINAL, TASK_FINAL
from weft.model.values import Ref
from weft.program.enclosing import Around
from weft.program.labels import handler_label, test_label
from weft.program.nodes import (
    AnyNode,
    Block,
    Branch,
    Break,
    Call,
    Capture,
    Continue,
    Glue,
    Group,
    Limit,
    Loop,
    Return,
    StepSpec,
    Try,
)
from weft.program.tree import blocks_of, walk

_LEAVES = {
    "return": "the workflow returned",
    "break": "the loop was left",
    "continue": "this turn of the loop ended",
}


class Because(msgspec.Struct):
    """A reason.

    Attributes:
        entries: what it rests on; None stands for an entry that should be in the journal, and is not.
        by_absence: it rests, too, on there being no other entry: so it holds only where none is missing.
    """

    cause: str
    text: str = ""
    entries: Sequence[JournalEntry | None] = ()
    details: Sequence[str] = ()
    by_absence: bool = False


class Unstarted:
    """Looks from the outermost block inwards for the first thing that keeps a task from starting."""

    def __init__(self, standing: Standing, evidence: Evidence, instance: Instance) -> None:
        self._standing = standing
        self._evidence = evidence
        self._instance = instance
        self._way = standing.around[instance.node]

    def because(self) -> Because:
        """Return why the task has not started."""
        for number, around in enumerate(self._way):
            found = self._never_at(around) or self._undecided(self._way[: number + 1])
            if found is not None:
                return found
        return self._unended(self._way)

    def is_excluded(self) -> bool:
        """Return whether what was decided around the task keeps it from ever starting."""
        return any(self._never_at(around) is not None for around in self._way)

    def _never_at(self, around: Around) -> Because | None:
        return self._not_chosen(around) or self._left_before(around)

    def _at(self, node: int) -> Instance:
        """Return the instance of a node in the turns of the task."""
        return Instance(node, self._instance.index[: self._standing.depth(node)])

    @cached_property
    def _is_over(self) -> bool:
        return self._standing.record.state in RUN_FINAL

    # -- it never will ----------------------------------------------------------------------------------

    def _not_chosen(self, around: Around) -> Because | None:
        """Return that the node which holds the block went another way."""
        match around.owner:
            case Branch() as branch:
                return self._other_arm(branch, around.part)
            case Loop() as loop if around.part < len(loop.bodies):
                return self._no_turn(loop, around.depth - 1)
            case Try() as node:
                return self._other_handler(node, around.part)
            case _:
                return None

    def _other_arm(self, branch: Branch, part: int) -> Because | None:
        entry, arm = self._evidence.numbers.get(self._at(branch.id), (None, part))
        if arm == part:
            return None
        label = branch.labels[arm] if arm < len(branch.labels) else "none of its sides"
        asks = test_label(self._standing.program, branch.test.span)
        text = f"it was skipped: the branch on `{asks}` (line {branch.span.line}) took `{label}`"
        details, entries = self._values_behind(branch)
        return Because("skipped", text, [entry, *entries], details)

    def _values_behind(self, branch: Branch) -> tuple[list[str], list[JournalEntry]]:
        """Return whose results a branch was decided by."""
        way = self._standing.around[branch.id]
        details, entries = [], []
        for call in self._standing.makers(self._standing.reads(branch), way):
            sealed = self._evidence.sealed.get(self._at(call.id))
            if sealed is not None:
                details.append(
                    f"decided by the result of {self._standing.path(self._at(call.id))}{self._value_of(call)}"
                )
                entries.append(sealed)
        return details, entries

    def _value_of(self, call: Call) -> str:
        row = self._standing.row(self._at(call.id))
        report = row.report() if row is not None else None
        if report is None or not report.outputs:
            return ""
        return f": {shown_value(self._standing.home, Ref(report.outputs[0].artifact, 0))}"

    def _no_turn(self, loop: Loop, place: int) -> Because | None:
        entry, count = self._evidence.numbers.get(self._at(loop.id), (None, None))
        if entry is None or count is None:
            return None
        turn = self._instance.index[place] if place < len(self._instance.index) else 0
        if turn >= count:
            text = f"there is no such turn: the loop on line {loop.span.line} ran over {count} items"
            return Because("no-item", text, [entry])
        return self._left_by_a_turn_before(loop, place, turn) if loop.sequence else None

    def _left_by_a_turn_before(self, loop: Loop, place: int, turn: int) -> Because | None:
        leaving = {
            node.id: node
            for body in loop.bodies
            for node in walk(body)
            if isinstance(node, Branch)
            and any(isinstance(each, Break | Return) for arm in node.arms for each in arm.nodes)
        }
        for found, (entry, arm) in self._evidence.numbers.items():
            branch = leaving.get(found.node)
            if branch is None or len(found.index) <= place or found.index[place] >= turn:
                continue
            nodes = branch.arms[arm].nodes if 0 <= arm < len(branch.arms) else ()
            if any(isinstance(each, Break | Return) for each in nodes):
                text = f"the loop was left in turn {found.index[place]}, on line {branch.span.line}"
                return Because("left", text, [entry])
        return None

    def _other_handler(self, node: Try, part: int) -> Because | None:
        entry, arm = self._evidence.numbers.get(self._at(node.id), (None, None))
        handlers = len(node.handlers)
        if 1 <= part <= handlers and arm is not None and arm != part - 1:
            taken = (
                f"`{handler_label(node.handlers[arm])}` took it"
                if arm < handlers
                else "no handler matched it"
            )
            text = f"it was skipped: of the exception in the `try` on line {node.span.line}, {taken}"
            return Because("skipped", text, [entry])
        if part == handlers + 1 and entry is not None:
            text = f"it was skipped: the `try` on line {node.span.line} met an exception, so its `else` did not run"
            return Because("skipped", text, [entry])
        if 1 <= part <= handlers and self._is_over and arm is None:
            text = f"it was skipped: no exception of the `try` on line {node.span.line} reached its handlers"
            return Because("skipped", text, [self._evidence.last("run.ended")], by_absence=True)
        return None

    def _left_before(self, around: Around) -> Because | None:
        """Return what stands above in the block and left it."""
        for node in around.above:
            found = self._leaves(node)
            if found is not None:
                return found
        return None

    def _leaves(self, node: AnyNode) -> Because | None:
        match node:
            case Return() | Break() | Continue():
                text = f"{_LEAVES[type(node).__name__.lower()]} on line {node.span.line}, before it"
                # Where that is not in a branch, it is known from the end of the run.
                return Because("left", text, [self._evidence.last("run.ended")])
            case Glue() if node.guard and (found := self._left_by(node)) is not None:
                return found
            case Call() | Glue():
                return self._failed_above(node)
            case Branch():
                entry, arm = self._evidence.numbers.get(self._at(node.id), (None, -1))
                found = self._leave_in(node.arms[arm].nodes) if 0 <= arm < len(node.arms) else None
                if found is not None and found.cause == "left":
                    return Because("left", found.text, [entry])
                return found
            case Try():
                _, arm = self._evidence.numbers.get(self._at(node.id), (None, -1))
                handled = 0 <= arm < len(node.handlers)
                return self._leave_in((node.handlers[arm].block if handled else node.body).nodes)
            case Limit():
                return self._leave_in(node.body.nodes)
            case Group() | Loop():
                return self._failed_inside(node)
            case Capture():
                return None
            case _:
                return None

    def _left_by(self, node: Glue) -> Because | None:
        """Return that a ``return``, ``break`` or ``continue`` which stands in glue was reached."""
        row = self._standing.row(self._at(node.id))
        report = row.report() if row is not None else None
        text = _LEAVES.get(report.outcome) if report is not None else None
        if text is None:
            return None
        entry = self._evidence.sealed.get(self._at(node.id))
        return Because("left", f"{text} on line {node.span.line}, before it", [entry])

    def _leave_in(self, nodes: Sequence[AnyNode]) -> Because | None:
        return next((found for node in nodes if (found := self._leaves(node))), None)

    def _failed_above(self, node: AnyNode) -> Because | None:
        at = self._at(node.id)
        for row in self._standing.failed:
            if row.node == node.id and row.index[: len(at.index)] == at.index:
                report = row.report()
                said = report.failure.text if report is not None and report.failure is not None else ""
                entries = [self._evidence.sealed.get(Instance(row.node, row.index))]
                return Because(
                    "after-failure", f"it was not run: {row.path} failed before it: {said}", entries
                )
        return None

    def _failed_inside(self, node: Group | Loop) -> Because | None:
        if self._evidence.move("failing") is None:
            return None
        inside = (self._failed_above(each) for body in blocks_of(node) for each in walk(body))
        return next((found for found in inside if found is not None), None)

    # -- it does not yet --------------------------------------------------------------------------------

    def _undecided(self, way: tuple[Around, ...]) -> Because | None:
        """Return what is waited for where the node that stands here is not decided."""
        node = way[-1].node
        if way == self._way:
            return None
        known = self._at(node.id) in self._evidence.numbers
        if isinstance(node, Branch) and not known:
            return self._unended(way)
        if isinstance(node, Loop) and node.source is not None and not known:
            return self._unended(way)
        if isinstance(node, Limit):
            asked = self._evidence.span("limit.asked", self._at(node.id))
            granted = self._evidence.span("limit.granted", self._at(node.id))
            if asked is not None and (granted is None or granted.seq < asked.seq) and not self._is_over:
                return Because(
                    "waits-slots", f"it waits for slots: {asked.cause}, all of them are taken", [asked]
                )
        return None

    def _unended(self, way: tuple[Around, ...]) -> Because:
        """Return why what stands at the end of ``way`` has not begun."""
        record, evidence = self._standing.record, self._evidence
        claimed, ended = evidence.last("run.claimed"), evidence.last("run.ended")
        if self._is_over:
            text = f"it was not run: the run ended before: {ended.cause if ended is not None else ''}"
            return Because("not-run", text, [ended], by_absence=True)
        if record.state == "queued":
            text = "the run was accepted, and nobody has begun to drive it"
            return Because("waits-driver", text, [evidence.last("run.accepted")], by_absence=True)
        if self._standing.home.is_interrupted(record):
            text = "nobody drives the run any more; `weft resume` goes on with it"
            return Because("interrupted", text, [claimed], by_absence=True)
        stopping = evidence.move("cancelling") or evidence.move("failing")
        if stopping is not None:
            return Because("not-run", f"it will not be run: {stopping.cause}", [stopping])
        return self._waits(way, claimed)

    def _waits(self, way: tuple[Around, ...], claimed: JournalEntry | None) -> Because:
        queued = self._evidence.span("task.queued", self._instance)
        if queued is not None and way == self._way:
            node = self._standing.plan.nodes[self._instance.node]
            asks = _asks(self._standing.program.steps[node.step]) if isinstance(node, Call) else "a worker"
            text = f"it waits for a free worker: it asks for {asks}"
            return Because("waits-resource", text, [queued], self._running())
        for call in self._standing.makers(self._standing.reads(way[-1].node), way):
            if (found := self._waits_for(call, "what it reads", claimed)) is not None:
                return found
        node = way[-1].node
        above = [each for each in way[-1].above if node.ordered or each.ordered or each.guard]
        calls = [each for top in above for each in walk(Block((top,))) if isinstance(each, Call)]
        for call in calls:
            if (found := self._waits_for(call, "what stands above it", claimed)) is not None:
                return found
        return Because("not-recorded")

    def _waits_for(self, call: Call, role: str, claimed: JournalEntry | None) -> Because | None:
        """Return that a call has not ended, if so."""
        at = self._at(call.id)
        state = self._open_state(call, at)
        if state is None or Unstarted(self._standing, self._evidence, at).is_excluded():
            return None
        started = self._evidence.span("task.started", at)
        entries = [claimed, *([started] if started is not None else [])]
        return Because(
            "waits-task",
            f"it waits for {self._standing.path(at)} ({state}), {role}",
            entries,
            by_absence=True,
        )

    def _open_state(self, call: Call, at: Instance) -> str | None:
        """Return the state of a task, or of those of a loop, that has not ended; None: it has."""
        if len(at.index) == self._standing.depth(call.id):
            row = self._standing.row(at)
            if row is None:
                return "not started"
            return None if row.state in TASK_FINAL else row.state
        counts = [count for count in self._standing.counts if count.node == call.id]
        ended = sum(count.count for count in counts if count.state in TASK_FINAL)
        under_way = sum(count.count for count in counts) - ended
        loop = next(each.owner for each in self._standing.around[call.id] if each.depth > len(at.index))
        opened = self._evidence.numbers.get(self._at(loop.id)) if loop is not None else None
        if opened is not None and not under_way and ended >= opened[1]:
            return None
        return f"{ended} of {opened[1] if opened else 'its'} tasks have ended"

    def _running(self) -> list[str]:
        tasks = self._standing.home.database.tasks
        page = tasks.list_tasks(self._standing.record.id, state="running", limit=5)
        return [f"{row.path} runs, on {row.worker or row.executor}" for row in page.tasks]


def _asks(spec: StepSpec) -> str:
    """Return what a step asks for, in words."""
    memory = f", {spec.memory_bytes / 2**30:.3g} GiB of memory" if spec.memory_bytes else ""
    return f"{spec.cpu:g} cores" + memory + (f", {spec.gpu} GPUs" if spec.gpu else "")

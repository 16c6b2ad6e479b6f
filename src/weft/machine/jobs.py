"""How nodes become jobs: what a worker needs to evaluate them, and the key under which a result may be used again."""

from __future__ import annotations

from weft.digest import digest_parts
from weft.machine.budgets import Budgets
from weft.machine.events import Instance, RunJob, Tried
from weft.machine.frames import UNBOUND, Names, TrailEntry
from weft.machine.plan import Plan
from weft.model.jobs import Entry, Job
from weft.model.values import Artifact, Ref
from weft.program.nodes import AnyNode, Call, Glue, Loop

Slots = list[Artifact]
Known = dict[int, int]  # origin → its slot


class JobMaker:
    """Makes the jobs of one run. State: none besides the program."""

    def __init__(self, run: str, plan: Plan, budgets: Budgets) -> None:
        self._run = run
        self._plan = plan
        self._budgets = budgets

    def of_node(
        self, number: int, node: Call | Glue, instance: Instance, names: Names, tried: Tried
    ) -> RunJob:
        """Return the first job of this driver for a call, or for glue."""
        slots: Slots = []
        entries = [_entry(instance, names, slots, {})]
        if not isinstance(node, Call):
            return RunJob(self._job(number, node, instance, slots, entries, tried), instance)
        job = self._job(number, node, instance, slots, entries, tried)
        cache = self._plan.program.steps[node.step].cache
        return RunJob(job, instance, self._key(node, names), cache, bool(node.key))

    def of_trail(
        self,
        number: int,
        loop: Loop,
        instance: Instance,
        trail: list[TrailEntry],
        first: Names,
        tried: Tried,
    ) -> RunJob:
        """Return a loop's deferred glue, in order, as one job; ``first``: more names for its first entry."""
        slots: Slots = []
        known: Known = {}
        entries = [_entry(Instance(glue.node, glue.index), glue.names, slots, known) for glue in trail]
        for name, value in first.items():
            if isinstance(value, Ref):
                _bind(entries[0], name, value, slots, known)
        return RunJob(self._job(number, loop, instance, slots, entries, tried), instance)

    def again(self, number: int, command: RunJob, tried: Tried) -> RunJob:
        """Return another attempt of a job."""
        old, instance = command.job, command.instance
        node = self._plan.nodes[instance.node]
        job = self._job(number, node, instance, old.slots, old.entries, tried)
        return RunJob(job, instance, command.key, command.cache, command.has_given_key)

    def _job(
        self,
        number: int,
        node: AnyNode,
        instance: Instance,
        slots: Slots,
        entries: list[Entry],
        tried: Tried,
    ) -> Job:
        path = self._plan.task_path(instance.node, instance.index)
        limits = self._budgets.limits(node, tried)
        key = f"{self._run}/{path}"
        return Job(
            number, self._run, path, tried.attempts, key, slots, entries, limits, isinstance(node, Call)
        )

    def _key(self, node: Call, names: Names) -> str:
        """Return the reuse key: the step's fingerprint, how it is called, the inputs' hashes or what stands for them."""
        step = self._plan.program.steps[node.step]
        if node.key:
            return digest_parts("task-key-given", [step.fingerprint, *_value_key(names[node.key])])
        parts = [step.fingerprint, node.fingerprint]
        reads = node.code.reads
        if node.plain is None:
            parts.append(node.code.text)
            for local, env in reads.items():
                parts.append(local)
                parts += _value_key(names[env])
            return digest_parts("task-key", parts)
        for keyword, local, constant in node.plain:
            parts += (keyword, constant)
            if local:
                parts += _value_key(names[reads[local]])
        return digest_parts("task-key-plain", parts)


def _value_key(value: object) -> list[str]:
    """Return what stands for a value in a reuse key: its content's hash, and where in the content it is."""
    if not isinstance(value, Ref):
        return ["unbound"]
    return [value.artifact.digest, *map(str, value.path)]


def _entry(instance: Instance, names: Names, slots: Slots, known: Known) -> Entry:
    entry = Entry(instance.node, instance.index, {})
    for name, value in names.items():
        if value is UNBOUND:
            entry.unbound = (*entry.unbound, name)
        else:
            _bind(entry, name, value, slots, known)
    return entry


def _bind(entry: Entry, name: str, ref: Ref, slots: Slots, known: Known) -> None:
    slot = known.get(ref.origin)
    if slot is None:
        slot = known[ref.origin] = len(slots)
        slots.append(ref.artifact)
    entry.bindings[name] = (slot, ref.path)

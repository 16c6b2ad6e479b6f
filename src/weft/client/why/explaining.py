"""``why``: the reason that is on record for what became of a task or of a run.

Every answer rests on entries of the journal, and on rows that were written in the transaction of such an entry. Where
the entry is not there the answer is *not recorded*: nothing is inferred from what is missing.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from weft.client.tasks import NoSuchTask
from weft.client.why.evidence import Evidence, missed_of
from weft.client.why.key_changes import key_changes
from weft.client.why.standing import Standing
from weft.client.why.unstarted import Because, Unstarted
from weft.machine.events import Instance
from weft.model.journal import AttemptSeal, JournalEntry
from weft.model.records import RunRecord, TaskRecord
from weft.model.states import RUN_FINAL, TASK_FINAL
from weft.model.values import INFRASTRUCTURE, Failure
from weft.program.nodes import Call

if TYPE_CHECKING:
    from weft.client.home import Home

NOT_RECORDED = "not-recorded"
NOT_STARTED = "not started"
_UNASKED = "no earlier result was looked for: the run continues no other, and the step uses no cache"
_attempt = msgspec.msgpack.Decoder(AttemptSeal).decode


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task, or a run, is as it is.

    Attributes:
        task: its path; empty where it is about the run itself.
        state: of the task or the run; ``not started`` where there is no row of the task.
        cause: the kind of reason, one of the words in ``docs/cli.md``.
        text: the reason, a sentence or two. ``details`` say more, a line each.
        evidence: the entries of the journal that the answer rests on; empty where nothing is recorded.
    """

    run: str
    task: str
    state: str
    cause: str
    text: str
    details: tuple[str, ...] = ()
    evidence: tuple[JournalEntry, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.task or self.run}: {self.text}", *(f"  {line}" for line in self.details)])


def why(home: Home, record: RunRecord, path: str | None = None) -> Reason:
    """Return why a task, or without ``path`` the run itself, is as it is.

    Raises:
        NoSuchTask: the program of the run has no such task.
        BrokenJournal: an entry cannot be read.
    """
    journal = home.database.journal.entries(record.id)
    if path is None:
        evidence = Evidence(journal, record.id)
        state = "interrupted" if home.is_interrupted(record) else record.state
        return _reason(record, "", state, _why_run(home, record, evidence), evidence)
    standing = Standing(home, record)
    instance = standing.find(path)
    if instance is None:
        raise NoSuchTask(record.id, path)
    failed = {Instance(row.node, row.index) for row in standing.failed}
    evidence = Evidence(journal, record.id, instance.index, failed)
    row = standing.row(instance)
    if row is not None:
        because = _why_task(standing, evidence, instance, row)
    elif len(instance.index) < standing.depth(instance.node):
        because = _why_loop(standing, evidence, instance)
    else:
        because = Unstarted(standing, evidence, instance).because()
    return _reason(record, path, row.state if row else NOT_STARTED, because, evidence)


def _reason(record: RunRecord, task: str, state: str, because: Because, evidence: Evidence) -> Reason:
    entries = {entry.seq: entry for entry in because.entries if entry is not None}
    is_whole = not evidence.has_gap and evidence.count >= record.journal_count
    if not entries or None in because.entries or (because.by_absence and not is_whole):
        text = "not recorded: the journal has no entry that says why"
        return Reason(run=record.id, task=task, state=state, cause=NOT_RECORDED, text=text)
    return Reason(
        run=record.id,
        task=task,
        state=state,
        cause=because.cause,
        text=because.text,
        details=tuple(because.details),
        evidence=tuple(entries[seq] for seq in sorted(entries)),
    )


# -- a task that is on record ---------------------------------------------------------------------------


def _why_task(standing: Standing, evidence: Evidence, instance: Instance, row: TaskRecord) -> Because:
    if row.state in TASK_FINAL:
        entry = evidence.sealed.get(instance)
        if entry is None:
            return Because(NOT_RECORDED)
        match row.state:
            case "reused":
                kind = "cached" if row.reason.startswith("cached") else "reused"
                text = f"its result was taken over: {row.reason.removeprefix('cached: ')}"
                return Because(kind, text, [entry], [f"the key of both is {row.key}"])
            case "failed":
                return _why_failed(standing, evidence, row, entry)
            case "cancelled":
                return _why_cancelled(evidence, row, entry)
            case _:
                return _why_ran(standing, evidence, row, entry)
    return _why_under_way(standing, evidence, instance, row)


def _why_ran(standing: Standing, evidence: Evidence, row: TaskRecord, entry: JournalEntry) -> Because:
    missed = missed_of(row.run, entry)
    attempts = evidence.retried.get(row.path, [])
    entries = [entry, *attempts]
    details = [failed.cause for failed in attempts]
    if missed is None:
        return Because(NOT_RECORDED)
    match missed.kind:
        case "missed":
            changes = key_changes(standing.home, standing.record, row)
            return Because("missed", f"it ran: {missed.reason}", entries, [*changes, *details])
        case "asked":
            return Because("asked", "it ran because it was asked to run again", entries, details)
        case "begun":
            claim = evidence.last("run.claimed")
            text = "it ran again: it had begun when the driver before ended, and had no result yet"
            return Because("begun", text, [*entries, claim], details)
        case "retried":
            return Because("retried", "it was tried again, because an attempt had failed", entries, details)
        case "glue":
            return Because("ran", "it ran: the workflow came to it", entries, details)
        case _:
            text = f"it ran because the workflow calls it; {_UNASKED}"
            accepted = evidence.last("run.accepted")
            return Because("retried" if attempts else "ran", text, [accepted, *entries], details)


def _why_failed(standing: Standing, evidence: Evidence, row: TaskRecord, entry: JournalEntry) -> Because:
    report = row.report()
    failure = report.failure if report is not None else None
    if failure is None:
        return Because(NOT_RECORDED)
    attempts = evidence.retried.get(row.path, [])
    details = [failed.cause for failed in attempts]
    details += _why_no_other_attempt(standing, row, failure)
    missed = missed_of(row.run, entry)
    if missed is not None and missed.kind == "missed":
        details += [f"it ran: {missed.reason}", *key_changes(standing.home, standing.record, row)]
    cause = {"timeout": "timed-out", "user": "failed"}.get(failure.kind, f"failed-{failure.kind}")
    return Because(cause, f"it failed: {failure.text}", [*attempts, entry], details)


def _why_no_other_attempt(standing: Standing, row: TaskRecord, failure: Failure) -> list[str]:
    node = standing.plan.nodes[row.node]
    if not failure.retryable or failure.kind == "weft":
        return ["a failure of this kind is not tried again"]
    if failure.kind in INFRASTRUCTURE:
        return [f"attempt {row.attempt} was the last: the budget for failures of this kind is used up"]
    if not isinstance(node, Call):
        return []
    return [f"attempt {row.attempt} was the last: retries={standing.program.steps[node.step].retries}"]


def _why_cancelled(evidence: Evidence, row: TaskRecord, entry: JournalEntry) -> Because:
    cancelling, failing = evidence.move("cancelling"), evidence.move("failing")
    if cancelling is not None:
        text = f"it was stopped: the run was cancelled ({cancelling.cause})"
        return Because("cancelled", text, [cancelling, entry])
    if failing is not None:
        text = f"it was stopped: {failing.cause}, and what runs after a failure is not wanted any more"
        return Because("dropped", text, [failing, entry])
    text = "it was stopped: what it was to make was not wanted any more when the run ended"
    return Because("dropped", text, [entry, evidence.last("run.ended")])


def _why_under_way(standing: Standing, evidence: Evidence, instance: Instance, row: TaskRecord) -> Because:
    started = evidence.span("task.started", instance)
    failed = evidence.retried.get(row.path, [])
    last = failed[-1] if failed else None
    if standing.home.is_interrupted(standing.record):
        claim = evidence.last("run.claimed")
        text = "it was cut off: nobody drives the run any more; `weft resume` runs it again"
        return Because("interrupted", text, [claim, last if started is None else started])
    if row.state == "retrying":
        at = _time_text(_attempt(last.body).again_ms) if last is not None else ""
        text = f"it waits for the time of its next attempt, {at}: {last.cause if last is not None else ''}"
        return Because("waits-timer", text, failed, [entry.cause for entry in failed[:-1]])
    text = f"it runs: attempt {row.attempt} on {row.worker or row.executor}"
    return Because("running", text, [started, *failed], [entry.cause for entry in failed])


def _time_text(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().isoformat(" ", "seconds")


def _why_loop(standing: Standing, evidence: Evidence, instance: Instance) -> Because:
    """Return what is on record of all the tasks of a loop."""
    states = [f"{count.count} {count.state}" for count in standing.counts if count.node == instance.node]
    if not states:
        return Unstarted(standing, evidence, instance).because()
    entry = evidence.first_sealed.get(instance.node) or evidence.last("run.claimed")
    some = standing.path(Instance(instance.node, (0,) * standing.depth(instance.node)))
    details = [f"ask for one of them, such as {some}"]
    return Because("loop", f"its tasks: {', '.join(states)}", [entry], details, by_absence=True)


# -- a run ----------------------------------------------------------------------------------------------


def _why_run(home: Home, record: RunRecord, evidence: Evidence) -> Because:
    accepted, claimed = evidence.last("run.accepted"), evidence.last("run.claimed")
    cancelling, failing = evidence.move("cancelling"), evidence.move("failing")
    begun = [] if accepted is None or accepted.cause == "started" else [f"it {accepted.cause}"]
    if record.state in RUN_FINAL:
        ended = evidence.last("run.ended")
        moves = [entry for entry in (failing, cancelling) if entry is not None]
        told = [entry.cause if entry is failing else f"cancelled: {entry.cause}" for entry in moves]
        text = f"{record.state}: {ended.cause}" if ended is not None else ""
        return Because(record.state, text, [*moves, ended], [*begun, *told])
    if record.state == "queued":
        return Because("queued", "it was accepted, and nobody has begun to drive it", [accepted], begun)
    if home.is_interrupted(record):
        took = claimed.cause if claimed is not None else ""
        text = f"nobody drives it: the process of {took} is gone, or its lease has run out"
        return Because("interrupted", text, [claimed], begun)
    for state, entry in (("cancelling", cancelling), ("failing", failing)):
        if record.state == state:
            text = f"{entry.cause}; what has begun still ends" if entry is not None else ""
            return Because(state, text, [entry], begun)
    counts = home.database.tasks.counts(record.id)
    under_way = sum(count.count for count in counts if count.kind == "call" and count.state not in TASK_FINAL)
    details = [*begun, f"{under_way} of its tasks are under way"]
    return Because(
        "running", f"it is driven: {claimed.cause}" if claimed is not None else "", [claimed], details
    )

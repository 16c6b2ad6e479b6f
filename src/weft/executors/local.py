"""Tasks in processes of this machine: warm workers, one task at a time each.

State: the budget, the backlog, one nest (a nursery and its workers) for each run, and the events that no
``poll`` has fetched yet. One thread uses it; only ``wake`` may come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from weft.clock import Clock, SystemClock
from weft.executors.admission import Budget, budget_of_machine
from weft.executors.backlog import Backlog, Lane
from weft.executors.causes import death_report
from weft.executors.ears import Deadlines, Ears
from weft.executors.nest import Hand, Nest, NurseryLost
from weft.executors.orders import Born, Exited, Ready, Unforkable, Word
from weft.executors.port import Capacity, Ended, Event, Notice, Started
from weft.executors.processes import kill_session
from weft.model.context import RunContext
from weft.model.jobs import Job, Limits, Report
from weft.seams import deferred
from weft.worker.stops import cancelled_report, stop_report
from weft.worker.wire import Done

if TYPE_CHECKING:
    import shutil
else:
    shutil = deferred("shutil")

_GLUE_WORKERS_MAX = 2
_EXIT_GRACE_MS = 1_000
_TIMEOUT_SLACK_MS = 250
_IMPORT_SLACK_MS = 60_000  # a worker that is its own interpreter imports the project before its first job
_LAUNCHES_MAX = 4
_LINGER_S = 0.002
_KILLED = 9  # as a wait status: by that signal


class LocalExecutor:
    """The default executor.

    Args:
        cpu, memory_bytes, gpus: what may be used; None: what this machine has.
        recycle_jobs: after so many jobs a worker is replaced by a new one.
        recycle_bytes: a worker whose job had this peak is replaced; None: a share of the memory.
        preload: False makes every worker its own interpreter.
    """

    def __init__(
        self,
        *,
        cpu: float | None = None,
        memory_bytes: int | None = None,
        gpus: tuple[str, ...] | None = None,
        recycle_jobs: int = 5_000,
        recycle_bytes: int | None = None,
        preload: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._budget: Budget = budget_of_machine(cpu, memory_bytes, gpus)
        self._slots = max(1, int(self._budget.cpu))
        self._recycle_jobs = recycle_jobs
        self._recycle_bytes = recycle_bytes or self._budget.memory_bytes // (2 * self._slots)
        self._preload = preload
        self._clock = clock or SystemClock()
        self._backlog = Backlog()
        self._nests: dict[str, Nest] = {}
        self._events: list[Event] = []
        self._given_up: set[tuple[str, int]] = set()
        self._clamped: dict[Limits, Limits] = {}
        self._glue_busy = 0
        self._hired = 0
        self._stale = False
        self._ears: Ears[Hand | Nest] = Ears()
        self._deadlines: Deadlines[Hand] = Deadlines(self._clock)

    # The port.

    def capacity(self) -> Capacity:
        return self._budget.capacity()

    def check(self, limits: Limits) -> tuple[Limits, str]:
        return self._budget.clamp(limits)

    def start(self, context: RunContext) -> None:
        nest = Nest(context, fresh=not self._preload)
        self._nests[context.run] = nest
        self._ears.listen(nest.channel, nest)
        nest.idle.append(self._hire(nest))  # the first worker is forked while the driver still prepares

    def submit(self, jobs: Sequence[Job]) -> None:
        granted = [self._grant(job) for job in jobs]
        for job in granted:
            self._backlog.add(job)
        self._dispatch()

    def poll(self, timeout_s: float | None) -> list[Event]:
        if self._events:
            # Word that jobs have started waits a moment for that of their end: one batch instead of two.
            is_news = any(not isinstance(event, Started) for event in self._events)
            timeout_s = 0 if is_news else _LINGER_S if timeout_s is None else min(timeout_s, _LINGER_S)
        self._look(timeout_s)
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        self._ears.wake()

    def cancel(self, run: str, jobs: Iterable[int], grace_ms: int | None = None) -> None:
        nest = self._nests[run]
        grace_ms = nest.context.grace_ms if grace_ms is None else grace_ms
        wanted = set(jobs)
        for hand in list(nest.hands.values()):
            self._cancel_sent(hand, wanted, grace_ms)
        for job in sorted(self._backlog.drop(run, wanted)):
            self._events.append(Ended(run, cancelled_report(job)))

    def finish(self, run: str) -> None:
        nest = self._nests.pop(run, None)
        if nest is None:
            return
        is_busy = False
        for hand in nest.hands.values():
            is_busy = is_busy or bool(hand.outstanding)
            self._let_go(hand)
            self._ears.deafen(hand.channel)
        self._ears.deafen(nest.channel)
        nest.close(0 if is_busy else _EXIT_GRACE_MS)
        self._backlog.forget(run)
        self._given_up = {name for name in self._given_up if name[0] != run}
        work = Path(nest.context.work_folder) / run
        if work.exists():
            shutil.rmtree(work, ignore_errors=True)
        self._dispatch()

    def close(self) -> None:
        for run in list(self._nests):
            self.finish(run)
        self._ears.close()

    # Jobs go out.

    def _grant(self, job: Job) -> Job:
        limits = self._clamped.get(job.limits)
        if limits is None:
            limits = self._clamped[job.limits] = self._budget.clamp(job.limits)[0]
        return job if limits == job.limits else msgspec.structs.replace(job, limits=limits)

    def _may_start(self, lane: Lane) -> bool:
        if lane.is_call:
            return self._budget.fits(lane.limits)
        if self._nests[lane.run].idle:
            return True
        return self._glue_busy < max(_GLUE_WORKERS_MAX, self._budget.free_cores())

    def _dispatch(self) -> None:
        self._stale = False
        while (lane := self._backlog.next_lane(self._may_start)) is not None:
            jobs = self._backlog.take(lane, lane.batch_size(self._slots))
            if jobs:
                self._assign(lane, jobs)

    def _assign(self, lane: Lane, jobs: list[Job]) -> None:
        nest = self._nests[lane.run]
        grant = self._budget.take(lane.limits) if lane.is_call else None
        devices = ",".join(grant.gpus) if grant is not None and grant.gpus else None
        hand = self._find_idle(nest, devices) or self._hire(nest)
        hand.grant, hand.lane, hand.devices = grant, lane, devices
        if grant is None:
            self._glue_busy += 1
        nest.watch(hand, lane.limits.memory_bytes)
        self._hand_over(hand, jobs)
        if hand.theirs is not None and nest.ready:
            self._spawn_waiting(nest)

    def _hand_over(self, hand: Hand, jobs: list[Job]) -> None:
        run = hand.nest.context.run
        if not hand.outstanding:
            self._set_deadline(hand, jobs[0])
        hand.send(jobs)
        if hand.theirs is None:
            self._ears.mind_backlog(hand.channel, hand)
        self._events.append(Started(run, tuple(job.id for job in jobs), hand.name))

    def _find_idle(self, nest: Nest, devices: str | None) -> Hand | None:
        """Return an idle worker that sees just these devices, or can still be made to."""
        for at in range(len(nest.idle) - 1, -1, -1):
            hand = nest.idle[at]
            if hand.devices == devices or (hand.devices is None and hand.done == 0):
                return nest.idle.pop(at)
        if len(nest.idle) > self._slots:
            self._retire(nest.idle.pop(0))
        return None

    def _hire(self, nest: Nest) -> Hand:
        self._hired += 1
        return nest.hire(self._hired)

    def _spawn_waiting(self, nest: Nest) -> None:
        for hand in nest.spawn_waiting():
            self._ears.listen(hand.channel, hand)
            if hand.outstanding:
                self._set_deadline(hand, hand.outstanding[0])

    def _set_deadline(self, hand: Hand, job: Job) -> None:
        timeout_ms = job.limits.timeout_ms
        if timeout_ms is not None and hand.theirs is None:
            # The worker's own timer ends the step; this one is for a step that does not let it.
            slack_ms = _IMPORT_SLACK_MS if hand.nest.fresh and not hand.done else _TIMEOUT_SLACK_MS
            self._deadlines.set(hand, timeout_ms + hand.nest.context.grace_ms + slack_ms)

    # Events come in.

    def _look(self, timeout_s: float | None) -> None:
        for source in self._ears.wait(self._deadlines.patience(timeout_s)):
            if isinstance(source, Hand):
                self._hear_hand(source)
            else:
                self._hear_nest(source)
        for hand in self._deadlines.take_overdue():
            if hand.stop is None and hand.outstanding:
                hand.stop = (hand.outstanding[0].id, "timeout")
            hand.nest.kill(hand)
        if self._stale:
            self._dispatch()

    def _hear_hand(self, hand: Hand) -> None:
        if hand.channel.is_closed():
            return  # word of its end came in the same breath
        reports, is_open = hand.reports()
        for done in reports:
            self._take_report(hand, done)
        if not is_open:
            self._ears.deafen(hand.channel)  # what comes next is word of its end

    def _take_report(self, hand: Hand, done: Done) -> None:
        job = hand.outstanding.popleft()
        report = done.report
        hand.done += 1
        hand.nest.launches = 1  # it works: only nurseries that end again and again are given up
        kind = report.failure.kind if report.failure is not None else ""
        if kind in ("timeout", "cancelled"):
            self._hold(hand, job, report, kind)
            return
        self._tell(job, report)
        if hand.lane is not None:
            hand.lane.learn(done.micros)
        if hand.stop is not None:
            hand.nest.kill(hand)  # it ended before the signal; the signal may meet the next job
        elif not hand.outstanding:
            self._free(hand, report)
        else:
            self._set_deadline(hand, hand.outstanding[0])
            self._top_up(hand)

    def _hold(self, hand: Hand, job: Job, report: Report, kind: str) -> None:
        if kind == "cancelled" and hand.stop is None:
            # Nobody here has told it to end: the machine is being taken away, or somebody wants its place.
            hand.stop = (job.id, "preempted")
            hand.held = stop_report(job, "preempted", report.failure.traceback if report.failure else "")
            hand.held.ended_ms = report.ended_ms
        elif kind == "cancelled" and hand.stop is not None and hand.stop[0] != job.id:
            hand.outstanding.appendleft(job)  # the signal was for the job before; this one starts again
        else:
            hand.stop = (job.id, kind)
            hand.held = report
        hand.nest.kill(hand)

    def _tell(self, job: Job, report: Report) -> None:
        name = (job.run, job.id)
        if name in self._given_up:
            self._given_up.discard(name)
        else:
            self._events.append(Ended(job.run, report))

    def _top_up(self, hand: Hand) -> None:
        """Keep a worker on tiny jobs busy while nobody else waits."""
        lane = hand.lane
        if lane is None or not lane.jobs or not self._backlog.has_only(lane):
            return
        size = lane.batch_size(self._slots)
        if len(hand.outstanding) <= size // 2:
            jobs = self._backlog.take(lane, size - len(hand.outstanding))
            if jobs:
                self._hand_over(hand, jobs)

    def _free(self, hand: Hand, report: Report) -> None:
        self._let_go(hand)
        if hand.done >= self._recycle_jobs or report.memory_bytes_max >= self._recycle_bytes:
            self._retire(hand)
        else:
            if hand.watched is not None:
                hand.nest.watch(hand, None)
            hand.nest.idle.append(hand)

    def _let_go(self, hand: Hand) -> None:
        """Give back what the worker held, once."""
        if hand.grant is not None:
            self._budget.give_back(hand.grant)
        elif hand.lane is not None:
            self._glue_busy -= 1
        hand.grant, hand.lane = None, None
        self._deadlines.drop(hand)
        self._stale = True

    def _retire(self, hand: Hand) -> None:
        hand.retired = True
        self._ears.deafen(hand.channel)
        hand.channel.close()

    # Workers and nurseries end.

    def _hear_nest(self, nest: Nest) -> None:
        words, is_open = nest.words()
        for word in words:
            self._take_word(nest, word)
        if not is_open:
            self._replace_nursery(nest)

    def _take_word(self, nest: Nest, word: Word) -> None:
        if isinstance(word, Ready):
            nest.ready = True
            self._spawn_waiting(nest)
            return
        if isinstance(word, Unforkable):
            nest.unforkable = True
            text = f"importing {word.module} left {word.what} in the process: workers start fresh, which is slower"
            self._events.append(Notice(nest.context.run, "unforkable-import", text))
            return
        if isinstance(word, Born):
            nest.hands[word.worker].pid = word.pid
            return
        hand = nest.hands.pop(word.worker, None)
        if hand is not None:
            self._bury(hand, word)

    def _bury(self, hand: Hand, exited: Exited) -> None:
        if hand in hand.nest.idle:
            hand.nest.idle.remove(hand)
        if hand.retired:
            return
        for done in hand.last_reports():
            self._take_report(hand, done)
        if hand in hand.nest.idle:
            hand.nest.idle.remove(hand)
        self._blame(hand, exited)
        self._backlog.put_back(hand.outstanding)
        hand.outstanding.clear()
        self._let_go(hand)
        self._ears.deafen(hand.channel)
        hand.channel.close()

    def _blame(self, hand: Hand, exited: Exited) -> None:
        """End the job that the worker died of; the others of its batch are not at fault."""
        run = hand.nest.context.run
        if hand.held is not None:
            self._events.append(Ended(run, hand.held))
            return
        if not hand.outstanding or (hand.stop is not None and hand.stop[0] != hand.outstanding[0].id):
            return
        job = hand.outstanding.popleft()
        if hand.stop is not None:
            report = stop_report(job, hand.stop[1])
        else:
            report = death_report(job, exited, hand.nest.context)
        report.ended_ms = self._clock.now_ms()
        self._tell(job, report)

    def _replace_nursery(self, nest: Nest) -> None:
        self._ears.deafen(nest.channel)
        if nest.launches >= _LAUNCHES_MAX:
            raise NurseryLost(nest.context.run, nest.tail())
        run = nest.context.run
        if not nest.unforkable:
            text = "the process that starts workers ended by itself and is started again"
            self._events.append(Notice(run, "nursery-lost", f"{text}\n{nest.tail()}".strip()))
        for hand in [hand for hand in nest.hands.values() if hand.theirs is None]:
            del nest.hands[hand.number]
            kill_session(hand.pid)
            self._bury(hand, Exited(hand.number, _KILLED, 0, False, False))
        nest.relaunch(fresh=nest.fresh or not nest.ready)
        self._ears.listen(nest.channel, nest)

    def _cancel_sent(self, hand: Hand, wanted: set[int], grace_ms: int) -> None:
        sent = [job.id for job in hand.outstanding if job.id in wanted]
        wanted.difference_update(sent)
        run = hand.nest.context.run
        if sent and hand.theirs is not None:
            self._take_back(hand, set(sent))
            return
        for job in sent:
            if job == hand.outstanding[0].id:
                self._stop(hand, job, grace_ms)
            elif (run, job) not in self._given_up:
                self._given_up.add((run, job))
                self._events.append(Ended(run, cancelled_report(job)))

    def _take_back(self, hand: Hand, unwanted: set[int]) -> None:
        """Cancel jobs of a worker that was not started yet: nothing has left this process."""
        jobs = list(hand.outstanding)
        hand.outstanding.clear()
        hand.channel.backlog.clear()
        for job in jobs:
            if job.id in unwanted:
                self._events.append(Ended(job.run, cancelled_report(job.id)))
        if rest := [job for job in jobs if job.id not in unwanted]:
            hand.send(rest)
        else:
            self._let_go(hand)
            hand.nest.idle.append(hand)

    def _stop(self, hand: Hand, job: int, grace_ms: int) -> None:
        if hand.stop is not None:
            return
        hand.stop = (job, "cancelled")
        self._deadlines.set(hand, grace_ms)
        hand.nest.stop(hand)

"""Jobs that wait for a worker, in lanes: one lane for all jobs of one node that ask for the same.

Tiny jobs leave in batches. A lane learns how long its node's jobs take; until two have ended, and while they
take more than a few milliseconds, jobs leave one at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from weft.model.jobs import Job, Limits

BATCH_JOBS_MAX = 256
_BATCH_JOB_US_MAX = 5_000
_BATCH_US_MAX = 20_000
_LEARNED_FROM = 2
_PASSED_MAX = 64

LaneKey = tuple[str, int, bool, Limits]


def _key_of(job: Job) -> LaneKey:
    return job.run, job.entries[0].node if job.entries else -1, job.is_call, job.limits


class Lane:
    """Jobs of one node, in order. It stays while its run does, for what it has learned."""

    __slots__ = ("is_call", "jobs", "key", "limits", "passed", "run", "samples", "usual_us")

    def __init__(self, key: LaneKey) -> None:
        self.key = key
        self.run, _, self.is_call, self.limits = key
        self.jobs: deque[tuple[int, Job]] = deque()
        self.samples = 0
        self.usual_us = 0.0
        self.passed = 0

    def learn(self, micros: int) -> None:
        """Note how long a job took: a mean over about the last eight, quick to see that jobs got slow."""
        self.samples += 1
        if self.samples == 1 or micros > 4 * self.usual_us:
            self.usual_us = float(micros)
        else:
            self.usual_us += (micros - self.usual_us) / 8

    def drop(self, unwanted: set[int]) -> list[int]:
        """Forget those of ``unwanted`` that wait here, and return them."""
        dropped = [job.id for _, job in self.jobs if job.id in unwanted]
        if dropped:
            self.jobs = deque(entry for entry in self.jobs if entry[1].id not in unwanted)
        return dropped

    def batch_size(self, workers: int) -> int:
        """Return how many jobs one worker may hold, when ``workers`` share what waits."""
        if self.samples < _LEARNED_FROM or self.usual_us >= _BATCH_JOB_US_MAX:
            return 1
        # Not more than have been seen: a loop whose first jobs were easy must not have its hard ones in one row.
        room = min(self.samples, int(_BATCH_US_MAX / max(self.usual_us, 1.0)))
        share = -(-len(self.jobs) // max(workers, 1))
        return max(1, min(BATCH_JOBS_MAX, room, share))


class Backlog:
    """All lanes. State: those that were ever used, and among them those in which jobs wait."""

    def __init__(self) -> None:
        self._lanes: dict[LaneKey, Lane] = {}
        self._waiting: dict[LaneKey, Lane] = {}
        self._sequence = 0

    def _lane(self, key: LaneKey) -> Lane:
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key)
        return lane

    def add(self, job: Job) -> None:
        key = _key_of(job)
        lane = self._waiting.get(key)
        if lane is None:
            lane = self._waiting[key] = self._lane(key)
        self._sequence += 1
        lane.jobs.append((self._sequence, job))

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Let jobs that were not at fault for their worker's end go first, in their old order."""
        for job in reversed(list(jobs)):
            key = _key_of(job)
            lane = self._waiting[key] = self._lane(key)
            lane.jobs.appendleft((0, job))

    def drop(self, run: str, unwanted: set[int]) -> list[int]:
        """Forget those of ``unwanted`` that wait, and return them."""
        dropped: list[int] = []
        for lane in [lane for lane in self._waiting.values() if lane.run == run]:
            dropped += lane.drop(unwanted)
            if not lane.jobs:
                del self._waiting[lane.key]
        return dropped

    def forget(self, run: str) -> None:
        """Forget a run with all that waits of it and all that was learned."""
        for lanes in (self._lanes, self._waiting):
            for key in [key for key in lanes if key[0] == run]:
                del lanes[key]

    def next_lane(self, may_start: Callable[[Lane], bool]) -> Lane | None:
        """Return the lane whose first job is the next to start, None if none may.

        Glue goes first: it is short, and much may wait for it. Among calls the oldest goes first; younger
        ones that fit may pass it, but not for ever: what was passed often holds all that compete with it.
        """
        if not self._waiting:
            return None
        passed: list[Lane] = []
        for lane in self._by_age():
            if may_start(lane):
                lane.passed = 0
                for other in passed:
                    other.passed += 1
                return lane
            elif lane.is_call:
                passed.append(lane)
                # A lane that waits for a device alone holds nothing back: cores are not what it lacks.
                if lane.passed > _PASSED_MAX and not lane.limits.gpu:
                    return None
        return None

    def has_only(self, lane: Lane) -> bool:
        """Return whether jobs of no other lane wait."""
        return len(self._waiting) == 1 and lane in self._waiting.values()

    def _by_age(self) -> list[Lane]:
        lanes = list(self._waiting.values())
        if len(lanes) > 1:
            lanes.sort(key=_age)
        return lanes

    def take(self, lane: Lane, count: int) -> list[Job]:
        """Return up to ``count`` jobs from the front of ``lane``."""
        jobs = lane.jobs
        taken = [jobs.popleft()[1] for _ in range(min(count, len(jobs)))]
        if not jobs:
            self._waiting.pop(lane.key, None)
        return taken


def _age(lane: Lane) -> tuple[bool, int]:
    return lane.is_call, lane.jobs[0][0]

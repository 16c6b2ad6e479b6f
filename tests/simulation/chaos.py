"""What a seed decides before anything happens: which things go wrong in this simulation, and how often.

Each seed has a few kinds of trouble, not all: a run in which everything goes wrong at once seldom gets far
enough to meet the rarer ones.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

LEASE_MS = 30_000
HEARTBEAT_MS = 5_000

# The points of a process's life at which it may be killed or paused. Those that come every half second weigh less.
WEIGHTS = {
    "transaction": 1.0,
    "commit": 1.0,
    "committed": 1.0,
    "submit": 1.0,
    "submitted": 1.0,
    "cancel": 2.0,
    "claimed": 3.0,
    "poll": 0.3,
    "read": 0.2,
}


@dataclass(frozen=True)
class Chaos:
    """Likelihoods, for each point, message or job. ``pause_ms``: the longest pause; ``job_ms``: the longest job."""

    killed: float = 0.0
    paused: float = 0.0
    pause_ms: int = 0
    cut_off: float = 0.0
    reply_lost: float = 0.0
    twice: float = 0.0
    started_lost: float = 0.0
    message_ms: int = 0
    cancel_too_late: float = 0.0
    zombie: float = 0.0
    shuffles: bool = False
    job_ms: int = 2000
    stopped: float = 0.0
    cancelled: float = 0.0
    greedy: float = 0.0


@dataclass(frozen=True)
class Plan:
    """One simulation.

    Attributes:
        programs: numbers of workflows; each is one run.
        processes: how many look for runs to drive. ``hosts``: on how many machines.
        lasts_ms: when the trouble ends; after that every run must end.
        crashes: how often the database server crashes.
        cancels: how often a user asks for the end of a run.
        deletes: how often a user tries to delete one.
        skew_ms: by how much wall clocks may be off, or be set. ``drift``: by how much their rate.
        faulty: share of tasks with failing attempts; ``final``: how many of these fail for good.
        retries: given to steps that say nothing themselves.
        continued: an ended run that did not succeed is continued by a new one.
        cached: results are reused across runs.
        outages: how often the database server is out of reach of all, for up to ``outage_ms``.
        damaged: likelihood that something which an ended run refers to is gone when it is continued.
    """

    seed: int
    programs: tuple[int, ...]
    processes: int = 1
    hosts: int = 1
    slots: int = 2
    lasts_ms: int = 0
    crashes: int = 0
    cancels: int = 0
    deletes: int = 0
    skew_ms: int = 0
    drift: float = 0.0
    clock_sets: int = 0
    faulty: float = 0.0
    final: float = 0.0
    retries: int = 0
    continued: bool = False
    cached: bool = False
    damaged: float = 0.0
    outages: int = 0
    outage_ms: int = 0
    chaos: Chaos = field(default_factory=Chaos)

    def has(self, troubles: Sequence[str]) -> bool:
        """Return whether each of ``troubles``, names of fields here or in ``Chaos``, is to be expected."""
        return all(getattr(self, name, 0) or getattr(self.chaos, name, 0) for name in troubles)

    @property
    def rivals(self) -> bool:
        """Whether several processes look for runs."""
        return self.processes > 1

    @property
    def limited(self) -> bool:
        """Whether tasks take slots of a limit."""
        return not {12, 13, 15}.isdisjoint(self.programs)

    def calm(self) -> Plan:
        """Return the same runs with nothing that goes wrong but the tasks themselves."""
        return Plan(
            self.seed,
            self.programs,
            faulty=self.faulty,
            final=self.final,
            retries=self.retries,
            cached=self.cached,
        )


def plan_of(seed: int, programs: int) -> Plan:
    """Return what a seed decides."""
    dice = random.Random(f"weft-plan-{seed}")

    def now_and_then(share: float, value: float) -> float:
        return value * dice.random() if dice.random() < share else 0.0

    processes = dice.choice((1, 1, 2, 2, 2, 3))
    chaos = Chaos(
        killed=now_and_then(0.55, 0.06),
        paused=now_and_then(0.4, 0.04),
        pause_ms=dice.choice((5_000, 40_000, 80_000, 80_000)),
        cut_off=now_and_then(0.2, 0.02),
        reply_lost=now_and_then(0.2, 0.04),
        twice=now_and_then(0.4, 0.6),
        started_lost=now_and_then(0.2, 0.5),
        message_ms=dice.choice((0, 0, 50, 2_000)),
        cancel_too_late=now_and_then(0.4, 1.0),
        zombie=now_and_then(0.3, 1.0),
        shuffles=dice.random() < 0.5,
        job_ms=dice.choice((20, 500, 500, 500, 5_000, 5_000, 60_000, 200_000)),
        stopped=now_and_then(0.3, 0.06),
        cancelled=now_and_then(0.08, 0.1),
        greedy=now_and_then(0.4, 1.0),
    )
    plan = Plan(
        seed,
        tuple(dice.randrange(programs) for _ in range(dice.choice((1, 1, 1, 2)))),
        processes=processes,
        hosts=dice.randint(1, processes),
        slots=dice.choice((1, 2, 4)),
        lasts_ms=dice.choice((60_000, 300_000)),
        crashes=dice.choice((0, 0, 0, 0, 1, 3)),
        cancels=dice.choice((0, 0, 0, 1, 1, 2)),
        deletes=dice.choice((0, 0, 0, 1, 3)),
        skew_ms=dice.choice((0, 0, 3_600_000)),
        drift=dice.choice((0.0, 0.0, 0.1)),
        clock_sets=dice.choice((0, 0, 2)),
        faulty=dice.choice((0.0, 0.2, 0.6)),
        final=dice.choice((0.0, 0.0, 0.3)),
        retries=dice.choice((0, 0, 1, 2)),
        continued=dice.random() < 0.5,
        cached=dice.random() < 0.15,
        damaged=dice.choice((0.0, 0.0, 0.7)),
        chaos=chaos,
    )
    if plan.final:
        plan = replace(plan, cached=False)  # A lucky run would lend its results to an unlucky one.
    if dice.random() >= 0.9:
        plan = replace(plan, chaos=replace(chaos, killed=0.0, paused=0.0))
    # Shorter than a lease, about as long, much longer.
    return replace(
        plan, outages=dice.choice((0, 0, 0, 1, 2)), outage_ms=dice.choice((20_000, 45_000, 300_000))
    )

"""``weft gc``: what a kept run needs stays, whoever puts or finds the same content meanwhile; the rest goes by policy."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

import weft
from weft.client.door import open_home
from weft.client.home import Home
from weft.client.owners import this_owner
from weft.client.upkeep.collecting import (
    Policy,
    _spared_from_ms,
    collect_garbage,
    needed_now,
    sweep,
)
from weft.digest import digest_bytes
from weft.driver.launch import Launch, launch_to_bytes
from weft.model.journal import JournalEntry
from weft.model.records import Batch, Lease, NewRun, Reference, RunMove
from weft.settings import Settings
from weft.store.blobs import BlobInfo, FileBlobStore
from weft.store.engine import statement
from weft.store.runs import RunNotFound

CONTENTS = [bytes([number]) * 100 for number in range(2)]
LONG_MS = 2 * 60 * 60 * 1000


class Gc(RuleBasedStateMachine):
    """Runs that put and find content, commit late, end, die and are deleted, among sweeps at every point of theirs.

    State: the leases of live runs with what each holds and has not committed, and sweeps on their way.

    Time passes by making all that is on record older. A sweep on its way holds a time of its own, which that would
    not reach; and to a sweep it is the same whether time passes or not.
    """

    live = Bundle("live")
    sweeps = Bundle("sweeps")
    contents = st.integers(0, len(CONTENTS) - 1)

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="weft-gc-")
        self.home = Home(Settings(home=Path(self.folder)))
        self.held: dict[str, set[int]] = {}
        self.sweeping = 0

    def teardown(self) -> None:
        self.home.database.close()
        shutil.rmtree(self.folder)

    @initialize()
    def leave_old_content_that_nobody_needs(self) -> None:
        for content in CONTENTS:
            self.home.blobs.put([content])
        self.time_passes()

    @rule(target=live)
    def start(self) -> Lease:
        inputs = launch_to_bytes(Launch(given=[]))
        run = NewRun(
            id=self.home.clock.new_id(), workflow="flow", program="b3:0", created_ms=1, inputs=inputs
        )
        self.home.database.runs.create(run, b"")
        lease = self.home.database.runs.claim(run.id, this_owner(), 60_000)
        self.held[run.id] = set()
        return lease

    @rule(lease=live, content=contents)
    def put(self, lease: Lease, content: int) -> None:
        self.home.blobs.put([CONTENTS[content]])
        self.held[lease.run].add(content)

    @rule(lease=live, content=contents)
    def find_in_the_cache(self, lease: Lease, content: int) -> None:
        if self.home.blobs.keep(digest_bytes(CONTENTS[content])):
            self.held[lease.run].add(content)

    @rule(lease=live)
    def commit(self, lease: Lease) -> None:
        self.home.database.runs.commit(lease, self.batch(lease))

    @rule(lease=consumes(live))
    def end(self, lease: Lease) -> None:
        batch = self.batch(lease)
        batch.move = RunMove("succeeded", self.home.clock.now_ms())
        self.home.database.runs.commit(lease, batch)

    @rule(lease=consumes(live))
    def die(self, lease: Lease) -> None:
        self.home.database.runs.release(lease)

    def batch(self, lease: Lease) -> Batch:
        digests = [digest_bytes(CONTENTS[content]) for content in self.held[lease.run]]
        self.held[lease.run] = set()
        return Batch(
            entries=[JournalEntry(1, "note")], references=[Reference(d, "plain", 100) for d in digests]
        )

    @rule()
    @precondition(lambda self: not self.sweeping)
    def time_passes(self) -> None:
        for path in Path(self.folder, "artifacts").glob("*/*"):
            then_s = path.stat().st_mtime - LONG_MS / 1000
            os.utime(path, (then_s, then_s))
        engine = self.home.database.engine
        with engine.transaction():
            engine.write(statement(f"update runs set started_ms = started_ms - {LONG_MS}"), {})

    @rule(keep_last=st.integers(0, 2))
    def collect(self, keep_last: int) -> None:
        collect_garbage(self.home, Policy(keep_last=keep_last))

    @rule(target=sweeps)
    def begin_a_sweep(self) -> Iterator[BlobInfo | None]:
        before_ms = _spared_from_ms(self.home)
        self.sweeping += 1
        return sweep(self.home.blobs, needed_now(self.home), before_ms)

    @rule(target=sweeps, begun=consumes(sweeps))
    def sweep_one_half(self, begun: Iterator[BlobInfo | None]) -> object:
        if next(begun, StopIteration) is not StopIteration:
            return begun
        self.sweeping -= 1
        return multiple()

    @rule(begun=consumes(sweeps))
    def a_sweep_dies(self, begun: Iterator[BlobInfo | None]) -> None:
        self.sweeping -= 1

    @invariant()
    def nothing_dangles(self) -> None:
        for run in self.home.database.runs.list_runs(limit=500).runs:
            for reference in self.home.database.references.of_run(run.id):
                self.home.blobs.verify(reference.digest)


Gc.TestCase.settings = settings(
    max_examples=int(os.environ.get("WEFT_GC_EXAMPLES", "40")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestGc = Gc.TestCase


@pytest.mark.parametrize("wanting", ["put", "keep"])
@pytest.mark.parametrize("crash", [False, True])
def test_in_every_order_of_two_sweeps_and_one_who_wants_a_blob_it_is_there_for_them(tmp_path, wanting, crash):
    """All 140 orders of the three steps of each sweep, the second of which may die half way, and the wish."""
    orders = sorted(set(itertools.permutations("aaabbbw")))
    assert len(orders) == 140
    spared = 0
    for number, order in enumerate(orders):
        blobs = FileBlobStore(tmp_path / str(number))
        digest = blobs.put([CONTENTS[0]])
        for path in (tmp_path / str(number)).glob("*/*"):
            os.utime(path, (1, 1))
        before_ms = int(time.time() * 1000) - LONG_MS
        sweeps = {name: sweep(blobs, set(), before_ms) for name in "ab"}
        is_promised = False
        for turn in order[:-1] if crash and order[-1] == "b" else order:
            if turn != "w":
                next(sweeps[turn], None)
            elif wanting == "put":
                is_promised = blobs.put([CONTENTS[0]]) == digest
            else:
                is_promised = blobs.keep(digest)
        if is_promised:
            spared += 1
            blobs.verify(digest)
        assert blobs.exists(digest) or not is_promised
    assert spared == 140 if wanting == "put" else 0 < spared < 140


# -- with real runs -------------------------------------------------------------------------------------

FLOW = """
    @step(cache=True)
    def make(n):
        return [n] * 4000

    @step
    def total(rows, limit):
        if sum(map(len, rows)) > limit:
            raise ValueError("too much")
        return rows

    @workflow
    def flow(n: int, limit: int = 100_000):
        return total([make(1000 + i) for i in range(n)], limit)

    @workflow
    def other(n: int):
        return make(2000 + n)
    """


@pytest.fixture
def flow(project):
    project.write("pyproject.toml", '[tool.weft]\nexecutor = "inline"\n')
    return project.module(FLOW)


def age(project, ms: int = LONG_MS) -> None:
    """Make everything that is stored older, as if time had passed."""
    for path in (project.home / "artifacts").glob("*/*"):
        then_s = path.stat().st_mtime - ms / 1000
        os.utime(path, (then_s, then_s))
    engine = open_home().database.engine
    with engine.transaction():
        for name in ("created_ms", "started_ms", "ended_ms"):
            engine.write(statement(f"update runs set {name} = {name} - {ms} where {name} > 0"), {})


def here() -> set[str]:
    """Return the ids of the runs that are there; each is whole but for the times that ``age`` changed."""
    runs = weft.list_runs(limit=100)
    for run in runs:
        for reference in open_home().database.references.of_run(run.id):
            open_home().blobs.verify(reference.digest)
    return {run.id for run in runs}


def test_without_a_policy_no_run_goes(project, flow):
    run = flow.flow.start(2).wait()
    age(project)
    report = open_home().gc()
    assert (report.deleted, report.runs) == (0, [])
    assert weft.get_run(run.id).result() == [[1000] * 4000, [1001] * 4000]


def test_runs_go_by_age_and_by_number_and_young_or_last_ones_stay(project, flow):
    old = [flow.flow.start(1).wait().id for _ in range(3)]
    another = flow.other.start(1).wait().id
    age(project)
    young = flow.flow.start(2).wait().id
    policy = Policy(older_than_ms=LONG_MS // 2, keep_last=2)
    report = open_home().gc(policy=policy, dry_run=True)
    assert here() == {*old, another, young}  # it only told
    gone = {run.run for run in report.runs}
    assert gone == set(old[1:2]) | set(old[:1]) - led_to(old[2])
    assert {run.run for run in open_home().gc(policy=policy).runs} == gone
    assert here() == {*old, another, young} - gone
    assert open_home().gc(policy=policy).runs == []


def led_to(run: str) -> set[str]:
    return set(open_home().database.tasks.sources(run))


def test_what_a_kept_run_goes_back_to_is_kept(project, flow):
    alone = flow.flow.start(0).wait()
    first = flow.flow.start(1).wait()
    with pytest.raises(ValueError, match="too much"):
        flow.flow.run(2, 5)
    failed = weft.get_run()
    middle = failed.resume(params={"limit": 6}).wait()
    last = weft.get_run(middle.id).resume(params={"limit": 10_000}).wait()
    age(project)
    assert {run.run for run in open_home().gc(policy=Policy(keep_last=1)).runs} == {alone.id}
    # The last one continues two that failed, and the first of these found a result of the first run in the cache.
    assert here() == {first.id, failed.id, middle.id, last.id}
    assert weft.get_run(last.id).task("make[0]").result() == [1000] * 4000
    with pytest.raises(RunNotFound):
        weft.get_run(alone.id)


def test_by_size_the_oldest_go_and_only_as_many_as_must(project, flow):
    runs = [flow.other.start(number).wait().id for number in range(5)]
    age(project)
    size = open_home().gc(policy=Policy(keep_last=0), dry_run=True).deleted_bytes
    each = open_home().gc(policy=Policy(keep_last=4), dry_run=True).runs[0].size_bytes
    assert size >= 5 * each > 0
    report = open_home().gc(policy=Policy(max_bytes=size - 2 * each))
    assert [run.run for run in report.runs] == runs[:2]
    assert here() == set(runs[2:])
    assert open_home().gc(policy=Policy(max_bytes=0)).runs[-1].run == runs[-2]
    assert here() == {runs[-1]}  # the last of a workflow is not taken for its size alone


def test_it_tells_bytes_and_what_could_be_made_again_and_in_what_time(project, flow):
    run = flow.other.start(3).wait()
    age(project)
    report = open_home().gc(policy=Policy(keep_last=0), dry_run=True)
    (told,) = report.runs
    took = sum(task.ended_ms - task.started_ms for task in weft.get_run(run.id).tasks())
    assert (told.run, told.workflow, told.can_rebuild, told.took_ms) == (run.id, "other", True, took)
    assert report.deleted_bytes >= told.size_bytes > 4000
    assert open_home().gc(policy=Policy(keep_last=0)).deleted_bytes == report.deleted_bytes
    assert list(open_home().blobs.list_blobs()) == []
    assert not (project.home / "logs" / run.id).exists()


def test_a_run_that_is_not_over_stays_with_all_it_needs(project, flow):
    run = flow.flow.start(2)
    run.stop()
    run.wait()
    age(project)
    open_home().gc(policy=Policy(keep_last=0))
    if weft.get_run(run.id).state == "interrupted":
        assert weft.get_run(run.id).resume().wait().result() == [[1000] * 4000, [1001] * 4000]


def test_runs_that_make_the_same_content_while_collectors_sweep_lose_none_of_it(project, flow):
    """Each round begins with blobs that are old and that no run needs, which the runs of the round want again."""
    for number in range(3):
        over = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            collectors = [pool.submit(collect_until, over) for _ in range(2)]
            started = [flow.flow.options(tags={"n": str(number)}).start(4) for _ in range(4)]
            results = [run.wait().result() for run in started]
            over.set()
            assert min(collector.result() for collector in collectors) > 0
        assert results == [[[1000 + i] * 4000 for i in range(4)]] * 4
        assert [open_home().verify(weft.get_run(run.id)).problems for run in started] == [[]] * 4
        for run in started:
            open_home().database.runs.delete(run.id)
        age(project)


def collect_until(over: threading.Event) -> int:
    """Collect garbage again and again; return how often."""
    count = 0
    while not over.is_set():
        open_home().gc()
        count += 1
    return count

"""The protections of the shipped code, each taken out by a patch: each must be missed by some seed.

``python -m tests.simulation.mutants`` puts each patch into a copy of ``src``, simulates seeds until an invariant
breaks, and prints a table. A protection that no seed misses is not needed, or the simulation is too weak.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOUND = Path(__file__).with_name("mutants.json")
COUNT = 2000
RUNS, TASKS, STORE = "store/sql/runs.sql", "store/sql/tasks.sql", "store/runs.py"
DRIVER, LEDGER, REUSE, HOME = "driver/driver.py", "driver/ledger.py", "driver/reuse.py", "client/home.py"
HOLDING, MACHINE = "driver/holding.py", "machine/interpreter.py"


@dataclass(frozen=True)
class Mutant:
    """``old`` stands exactly once in ``file`` of ``src/weft`` and becomes ``new``. ``where``: the kinds of trouble
    that it takes to miss it, which saves simulations that cannot. ``also``: a second line that goes with it."""

    name: str
    file: str
    old: str
    new: str
    where: tuple[str, ...] = ()
    also: tuple[str, str] | None = None

    def patched(self, text: str) -> str:
        """Return the text of the file without the protection."""
        for old, new in filter(None, [(self.old, self.new), self.also]):
            assert text.count(old) == 1, f"{self.name} is stale"
            text = text.replace(old, new)
        return text


ADVANCE = "where id = :run and fence = :fence and owner is not null\n    and journal_head = :head_before"
BEAT = "where id = :run and fence = :fence and owner is not null\nreturning"
CLAIM = "        lease = self.database.runs.claim("
READ = """\
        recorded = {Instance(task.node, task.index): task for task in self.database.tasks.outcomes(record.id)}
"""
MUTANTS = [
    # -- the claim ---------------------------------------------------------------------------------
    Mutant(
        "claim-takes-a-lease-that-runs",
        RUNS,
        "    and (owner is null or lease_until_ms <= :now_ms or owner = :dead)\nreturning",
        "returning",
    ),
    Mutant(
        "claim-keeps-the-fence",
        RUNS,
        "    fence = fence + 1,\n    lease_until_ms = :until_ms",
        "    fence = max(fence, 1),\n    lease_until_ms = :until_ms",
    ),
    Mutant(
        "claim-takes-an-ended-run",
        RUNS,
        "where id = :run\n    and state in ('queued', 'running', 'failing', 'cancelling')\n",
        "where id = :run\n",
        where=("paused", "rivals"),
    ),
    Mutant(
        "claim-reads-the-record-first",
        HOME,
        CLAIM,
        READ.replace("recorded", "self.early") + CLAIM,
        where=("paused", "rivals"),
        also=(READ, "        recorded = self.early\n"),
    ),
    Mutant(
        "claim-is-not-synced",
        STORE,
        '        with self._engine.transaction(full_sync=True):\n            rows = self._engine.execute(self._sql["claim"]',
        '        with self._engine.transaction():\n            rows = self._engine.execute(self._sql["claim"]',
    ),
    Mutant(
        "lease-is-compared-with-ones-own-clock",
        HOME,
        "record.lease_until_ms < self.database.engine.now_ms()",
        "record.lease_until_ms < self.clock.now_ms()",
        where=("skew_ms",),
    ),
    # -- the fence ---------------------------------------------------------------------------------
    Mutant("heartbeat-without-fence", RUNS, BEAT, BEAT.replace(" and fence = :fence", "")),
    Mutant(
        "heartbeat-is-not-told-of-its-fence",
        STORE,
        "            if not rows:\n                raise self._fenced(lease)\n",
        "            if not rows:\n                return False\n",
        where=("paused", "rivals"),
    ),
    Mutant(
        "release-without-fence",
        RUNS,
        "set owner = null, lease_until_ms = 0\nwhere id = :run and fence = :fence",
        "set owner = null, lease_until_ms = 0\nwhere id = :run",
        where=("stopped", "paused", "rivals"),
    ),
    Mutant(
        "commit-without-head-and-count",
        RUNS,
        "    and journal_head = :head_before and journal_count = :count_before\n",
        "",
        where=("crashes",),
    ),
    Mutant(
        "commit-without-fence-and-head",
        RUNS,
        ADVANCE + " and journal_count = :count_before\n",
        "where id = :run and owner is not null\n",
        where=("paused", "rivals"),
    ),
    Mutant(
        "commit-ignores-that-it-is-fenced",
        STORE,
        "                raise self._fenced(lease)\n        lease.journal_head",
        "                return\n        lease.journal_head",
    ),
    Mutant(
        "commit-that-arrived-counts-as-fenced",
        STORE,
        "            elif not (rows and self._stands_at(lease, head, count)):\n",
        "            else:\n",
        where=("reply_lost",),
    ),
    Mutant(
        "transaction-is-not-rolled-back",
        "store/sqlite.py",
        "            except BaseException as error:\n                self._roll_back()\n",
        "            except BaseException as error:\n",
        where=("cut_off",),
    ),
    # -- users -------------------------------------------------------------------------------------
    Mutant(
        "cancel-ends-what-is-driven",
        RUNS,
        "cancel_cause = :cause\nwhere id = :run and state = 'queued'",
        "cancel_cause = :cause\nwhere id = :run and state in ('queued', 'running')",
        where=("cancels",),
    ),
    Mutant(
        "delete-takes-what-is-driven",
        RUNS,
        "where id = :run and (\n    state in ('queued', 'succeeded', 'failed', 'cancelled') or owner is null or lease_until_ms <= :now_ms\n)",
        "where id = :run",
        where=("deletes",),
    ),
    Mutant(
        "cancel-of-a-queued-run-is-not-synced",
        STORE,
        '        with self._engine.transaction(full_sync=True):\n            if self._engine.write(self._sql["cancel_queued"]',
        '        with self._engine.transaction():\n            if self._engine.write(self._sql["cancel_queued"]',
        where=("cancels", "crashes"),
    ),
    Mutant(
        "acceptance-is-not-synced",
        STORE,
        '        with self._engine.transaction(full_sync=True):\n            self._engine.write(self._sql["insert_program"]',
        '        with self._engine.transaction():\n            self._engine.write(self._sql["insert_program"]',
        where=("crashes",),
    ),
    Mutant(
        "end-is-not-synced",
        STORE,
        "        ends = batch.move is not None and batch.move.state in RUN_FINAL\n        head",
        "        ends = False\n        head",
        where=("crashes",),
    ),
    # -- tasks on record ---------------------------------------------------------------------------
    Mutant(
        "blob-is-referred-to-once",
        "store/sql/references.sql",
        "on conflict (digest, run) do nothing",
        "",
    ),
    Mutant("program-is-stored-once", RUNS, "on conflict (digest) do nothing", ""),
    # -- the driver --------------------------------------------------------------------------------
    Mutant(
        "starts-before-it-commits",
        DRIVER,
        "        self._advance(now_ms)\n        self._write(now_ms)\n        self._send(now_ms)\n\n    def _patience_s",
        "        self._advance(now_ms)\n        self._send(now_ms)\n        self._write(now_ms)\n\n    def _patience_s",
    ),
    Mutant(
        "report-of-a-job-that-is-not-out",
        DRIVER,
        "        if going is not None:\n            task",
        "        if True:\n            task",
        where=("twice",),
    ),
    Mutant(
        "report-that-comes-twice",
        MACHINE,
        "        running = self.jobs.pop(report.id, None)\n        if running is None:\n            return\n",
        "        running = self.jobs.pop(report.id)\n",
        where=("twice",),
    ),
    Mutant(
        "start-of-a-job-that-is-not-out",
        DRIVER,
        "                    if going is not None:\n                        going.started_ms",
        "                    if True:\n                        going.started_ms",
        where=("twice",),
    ),
    Mutant(
        "record-is-not-replayed",
        REUSE,
        "            if report is not None:\n                report.id",
        "            if False:\n                report.id",
        where=("killed",),
    ),
    Mutant(
        "failure-on-record-is-tried-again",
        DRIVER,
        "found.source, settled=True))",
        "found.source))",
        where=("killed",),
    ),
    Mutant(
        "second-attempt-may-be-reused",
        REUSE,
        "        if command.job.attempt > 1:\n",
        "        if False:\n",
        where=("faulty", "cached"),
    ),
    Mutant(
        "attempts-begin-anew",
        DRIVER,
        "Begin(self.given, self.parts.tried)",
        "Begin(self.given)",
        where=("killed", "faulty"),
    ),
    Mutant(
        "no-heartbeat",
        DRIVER,
        "        if tick_ms >= self._next_beat_ms:\n",
        "        if False:\n",
    ),
    Mutant(
        "heartbeat-by-the-wall-clock",
        DRIVER,
        "        if tick_ms >= self._next_beat_ms:\n            self._next_beat_ms = tick_ms +",
        "        if now_ms >= self._next_beat_ms:\n            self._next_beat_ms = now_ms +",
        where=("clock_sets",),
    ),
    Mutant(
        "back-off-by-the-workers-clock",
        DRIVER,
        "                due_ms = self.parts.clock.monotonic_ms() + command.wait_ms\n",
        "                due_ms = self.parts.clock.monotonic_ms() + command.at_ms - self.parts.clock.now_ms()\n",
        where=("skew_ms", "faulty"),
    ),
    Mutant(
        "cancel-is-not-heard",
        DRIVER,
        "            if self.patience.outlast(lambda: runs.is_cancel_requested(self.lease.run)):\n",
        "            if False:\n",
        where=("cancels",),
    ),
    Mutant(
        "cancel-is-heard-after-the-first-start",
        DRIVER,
        "        self._hear_cancel(now_ms, self.parts.clock.monotonic_ms())\n        self._advance(now_ms)\n",
        "",
        where=("cancels", "killed"),
    ),
    Mutant(
        "cancelling-is-forgotten",
        DRIVER,
        '= "requested" if lease.state == "cancelling" else None',
        "= None",
        where=("cancelled", "killed"),
    ),
    Mutant(
        "starts-what-is-not-wanted",
        DRIVER,
        "            unsent = self.submit.pop(job, None) is not None\n",
        "            unsent = False\n",
    ),
    Mutant(
        "tasks-are-left-running",
        DRIVER,
        "        self.ledger.left(self.patience.outlast(self._unended), now_ms)\n",
        "",
    ),
    Mutant(
        "dropped-retry-comes-back",
        MACHINE,
        "                del self.timers[timer]\n\n    def drop_frame",
        "                pass\n\n    def drop_frame",
        also=("running is None or running.dead:", "running is None:"),
        where=("faulty",),
    ),
    Mutant(
        "database-away-ends-the-driver",
        "driver/patience.py",
        "                if now_ms - since_ms >= self._wait_ms or is_stopping:\n",
        "                if True:\n",
        where=("cut_off",),
    ),
    # -- what is referred to -----------------------------------------------------------------------
    Mutant(
        "results-are-not-referred-to",
        LEDGER,
        "        for artifact in report.artifacts():\n            self.refer(artifact)\n",
        "",
    ),
    Mutant(
        "references-are-not-written",
        STORE,
        "        if batch.references:\n            self._write_references(lease.run, batch.references)\n",
        "",
    ),
    Mutant(
        "lost-content-is-reused",
        REUSE,
        "        if not all(self._holds(output.artifact) for output in report.outputs):\n            return None\n",
        "",
        where=("damaged", "continued"),
    ),
    # -- limits ------------------------------------------------------------------------------------
    Mutant(
        "slot-is-not-locked",
        "driver/slots.py",
        "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            pass\n",
        where=("limited",),
    ),
    Mutant(
        "slot-is-kept",
        "driver/slots.py",
        "        for file in self._held.pop(request, ()):\n            os.close(file)\n",
        "        self._held.pop(request, ())\n",
        where=("limited",),
    ),
    Mutant(
        "slot-goes-back-before-the-work-has-ended",
        HOLDING,
        "        if self._released and not self._at_work:\n",
        "        if self._released:\n",
        where=("limited", "cancel_too_late"),
    ),
    Mutant(
        "slot-waits-for-work-that-is-on-record",
        DRIVER,
        "            self.holding.ended(event.report.id)\n            going",
        "            going",
        where=("limited",),
    ),
    Mutant(
        "dropped-body-keeps-its-slot",
        "machine/composites.py",
        "    def drop(self) -> None:\n        self._release()\n",
        "    def drop(self) -> None:\n",
        where=("limited",),
    ),
]

# Second lines: what they keep out cannot come that far. No seed misses one of them alone.
# * owner, state: who has released or ended a run under a fence writes nothing under it any more.
# * fence or head in a commit: each claim writes an entry, so that whoever has the old fence has an old head too.
#   Where the server has forgotten commits, the fence is the same and the head is not.
# * count or head alone: under one fence only one process writes, so that the same count is the same head.
# * fence in move and end: the commit that they are a part of has checked it, in the same transaction.
# * no start after the end: what the machine does not wait for, it calls off before it says how the run ends.
# * attempts once, ended tasks never: attempts are numbered on from claim to claim, and what could write an end
#   twice is fenced. They stay as what the database itself knows of the table of states.
SECOND_LINES = [
    Mutant(
        "starts-after-the-end",
        DRIVER,
        "        if self.submit and self.finish is None:\n",
        "        if self.submit:\n",
    ),
    Mutant(
        "commit-without-head",
        RUNS,
        "    and journal_head = :head_before and journal_count = :count_before\n",
        "    and journal_count = :count_before\n",
        where=("crashes",),
    ),
    Mutant(
        "attempt-is-recorded-once",
        TASKS,
        "on conflict (run, node, idx, attempt) do nothing",
        "",
        where=("faulty", "reply_lost"),
    ),
    Mutant(
        "ended-task-is-overwritten",
        TASKS,
        "where tasks.state = 'waiting'\n    or (tasks.state in ('running', 'retrying') and excluded.state not in ('waiting', 'skipped', 'reused'))\n",
        "",
    ),
    Mutant(
        "heartbeat-without-owner",
        RUNS,
        BEAT,
        BEAT.replace(" and owner is not null", ""),
        where=("paused", "rivals"),
    ),
    Mutant(
        "commit-without-fence",
        RUNS,
        ADVANCE,
        ADVANCE.replace(" and fence = :fence", ""),
        where=("paused", "rivals"),
    ),
    Mutant(
        "commit-without-owner",
        RUNS,
        ADVANCE,
        ADVANCE.replace(" and owner is not null", ""),
        where=("paused", "rivals"),
    ),
    Mutant(
        "commit-without-count",
        RUNS,
        "    and journal_head = :head_before and journal_count = :count_before\n",
        "    and journal_head = :head_before\n",
        where=("crashes",),
    ),
    Mutant(
        "commit-in-any-state",
        RUNS,
        "    and (state = 'running' or state in ('failing', 'cancelling'))\n",
        "",
        where=("paused", "rivals"),
    ),
    Mutant(
        "move-without-fence",
        RUNS,
        "update runs set state = :state\nwhere id = :run and fence = :fence and (",
        "update runs set state = :state\nwhere id = :run and (",
        where=("paused", "rivals"),
    ),
    Mutant(
        "end-without-fence",
        RUNS,
        "owner = null, lease_until_ms = 0\nwhere id = :run and fence = :fence and (",
        "owner = null, lease_until_ms = 0\nwhere id = :run and (",
        where=("paused", "rivals"),
    ),
]


def found_before() -> dict[str, int]:
    """Return the seed that found each mutant, as noted by ``--write``."""
    return json.loads(FOUND.read_text()) if FOUND.exists() else {}  # type: ignore[no-any-return]


def stale() -> list[str]:
    """Return the mutants whose text does not stand exactly once in the code any more."""
    both = [*MUTANTS, *SECOND_LINES]
    return [m.name for m in both if not _fits(m, (ROOT / "src/weft" / m.file).read_text())]


def _fits(mutant: Mutant, text: str) -> bool:
    olds = [mutant.old, *([mutant.also[0]] if mutant.also else [])]
    return all(text.count(old) == 1 for old in olds)


def patched_copy(mutant: Mutant, model: Path, folder: Path) -> Path:
    """Return a copy of ``model`` without the protection."""
    copy = folder / mutant.name
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("__pycache__"))
    target = copy / "weft" / mutant.file
    target.write_text(mutant.patched(target.read_text()))
    return copy


def find(
    mutant: Mutant, folder: Path, first: int = 0, count: int = COUNT, model: Path = ROOT / "src"
) -> tuple[int, str]:
    """Return the first seed that misses the protection, and what breaks; (-1, "") if none does."""
    source = patched_copy(mutant, model, folder)
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(first), "--count", str(count)]
    command += [part for trouble in mutant.where for part in ("--where", trouble)]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=3600
    )
    shutil.rmtree(source)
    line = next((line for line in done.stdout.splitlines() if line.startswith("seed ")), "")
    if not line or ": all holds" in line:
        return (-1, " ".join(done.stderr.splitlines()[-1:]) if done.returncode else "")
    seed, _, text = line.removeprefix("seed ").partition(": ")
    return int(seed), text


def find_again(mutant: Mutant, before: int | None, folder: Path, count: int, model: Path) -> tuple[int, str]:
    """Do what ``find`` does, with the seed that found it ``before`` tried first."""
    known = (-1, "") if before is None else find(mutant, folder, before, 1, model)
    return known if known[0] >= 0 else find(mutant, folder, 0, count, model)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT, help="seeds to try with each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", help="the name of a mutant")
    parser.add_argument("--write", action="store_true", help="note which seed found which mutant")
    parser.add_argument("--second-lines", action="store_true", help="try those that no seed is known to miss")
    given = parser.parse_args()
    wanted = [
        m for m in (SECOND_LINES if given.second_lines else MUTANTS) if not given.only or m.name in given.only
    ]
    if old := [name for name in stale() if name in {m.name for m in wanted}]:
        print(f"stale, their text is not in the code: {', '.join(old)}")
    wanted = [m for m in wanted if m.name not in old]
    alive, found = len(old), found_before()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(given.workers) as pool:
        folder, model = Path(name), Path(name, "model")
        # One copy for all, so that the code may be edited meanwhile.
        shutil.copytree(ROOT / "src", model, ignore=shutil.ignore_patterns("__pycache__"))
        tries = {pool.submit(find_again, m, found.get(m.name), folder, given.count, model): m for m in wanted}
        for tried in as_completed(tries):
            mutant, (seed, text) = tries[tried], tried.result()
            alive += seed < 0
            print(f"{mutant.name:40} {seed if seed >= 0 else 'alive':>6}  {text[:110]}", flush=True)
            if given.write and seed >= 0:
                found[mutant.name] = seed
                FOUND.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"{len(wanted) + len(old) - alive} of {len(wanted) + len(old)} found within {given.count} seeds")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())

"""Semantic bugs, kept as patches: each must be found by the generated programs.

``python -m tests.law.mutants`` puts each into a copy of ``src``, judges generated programs with it until one
breaks the law, and prints a table. A law that lets a mutant live is too weak.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM_SECONDS = 20
TOO_LONG = "this program takes too long"
FOUND = Path(__file__).with_name("mutants.json")
MACHINE, LANG, WORKER = "machine", "lang", "worker"


@dataclass(frozen=True)
class Mutant:
    """``old`` stands exactly once in the files of a room of ``src/weft`` and becomes ``new``."""

    name: str
    room: str
    old: str
    new: str


MUTANTS = [
    # -- failure -----------------------------------------------------------------------------------
    Mutant("finally-skipped", MACHINE, "        if not self.node.final.nodes:\n", "        if True:\n"),
    Mutant(
        "finally-cannot-win",
        MACHINE,
        '        if outcome.kind == "ok":\n            kept = self.pending\n',
        "        if True:\n            kept = self.pending\n",
    ),
    Mutant(
        "finally-changes-nothing",
        MACHINE,
        "    def _final_ended(self, outcome: Outcome) -> None:\n        names = {**self.pending.names, **outcome.names}\n",
        "    def _final_ended(self, outcome: Outcome) -> None:\n        names = {**outcome.names, **self.pending.names}\n",
    ),
    Mutant(
        "except-name-stays-bound",
        MACHINE,
        '        if self.part == "handler" and self.handler:\n',
        "        if False:\n",
    ),
    Mutant(
        "else-of-try-ignored",
        MACHINE,
        '        if outcome.kind == "ok" and self.node.orelse.nodes:\n            self.part = "orelse"\n',
        '        if False:\n            self.part = "orelse"\n',
    ),
    Mutant(
        "later-failure-wins",
        MACHINE,
        "            self._drop_below_running(frame, place)\n        elif frame.waiters:\n",
        "            for above in range(place):\n                if frame.status[above] == LIVE:\n"
        "                    self._drop(frame, above)\n                if frame.status[above] != DONE:\n"
        "                    frame.status[above] = DONE\n"
        '                    frame.outcomes[above] = Outcome("ok", {})\n'
        "            self._drop_below_running(frame, place)\n        elif frame.waiters:\n",
    ),
    Mutant(
        "handler-sees-nothing-bound-before",
        MACHINE,
        "Outcome(outcome.kind, *frame.before(place + 1), outcome.failure",
        "Outcome(outcome.kind, dict(outcome.names), frame.before(place + 1)[1], outcome.failure",
    ),
    Mutant(
        "failing-glue-delivers-nothing",
        WORKER,
        '            self.outcome = "fail"\n            outputs = self._outputs()\n',
        '            self.outcome = "fail"\n            outputs = []\n',
    ),
    Mutant(
        "handler-has-no-current-exception",
        WORKER,
        "            if current is None:\n                return work()\n",
        "            if True:\n                return work()\n",
    ),
    Mutant(
        "except-takes-the-exact-type-only",
        WORKER,
        "            except kind:\n                return True\n",
        "            except kind:\n                return type(self.current) is kind\n",
    ),
    Mutant(
        "group-return-leaves-the-caller",
        MACHINE,
        '        if outcome.kind == "return":\n            outcome.kind = "ok"\n',
        '        if False:\n            outcome.kind = "ok"\n',
    ),
    # -- loops and generators ----------------------------------------------------------------------
    Mutant(
        "list-order-by-completion",
        MACHINE,
        "            first = self.turns.get(self.folded)\n",
        "            first = next((turn for turn in self.turns.values() if turn.ended is not None), None)\n",
    ),
    Mutant(
        "collected-in-reverse",
        MACHINE,
        "self._send_trail(prelude + mine)\n",
        "self._send_trail(prelude + mine[::-1])\n",
    ),
    Mutant(
        "else-of-loop-ignored",
        MACHINE,
        "not self.broke and self.node.orelse.nodes:\n",
        "not self.broke and False:\n",
    ),
    Mutant(
        "else-runs-after-break",
        MACHINE,
        '        if outcome.kind == "break":\n            self.broke = True\n',
        '        if outcome.kind == "break":\n',
    ),
    Mutant(
        "continue-ends-the-loop",
        MACHINE,
        '        if outcome.kind == "break":\n            self.broke = True\n',
        '        if outcome.kind in ("break", "continue"):\n            self.broke = True\n',
    ),
    Mutant(
        "loop-name-gone-after-loop",
        MACHINE,
        "        turn_names = {**frame.overlay, **outcome.names}\n",
        "        turn_names = dict(outcome.names)\n",
    ),
    Mutant(
        "loop-keeps-the-first-value",
        MACHINE,
        "        self.base.update(turn_names)\n",
        "        self.base = {**turn_names, **self.base}\n",
    ),
    Mutant(
        "unrolled-in-reverse",
        MACHINE,
        "        body = self.node.bodies[turn if self.node.source is None else 0]\n",
        "        body = self.node.bodies[-1 - turn if self.node.source is None else 0]\n",
    ),
    Mutant(
        "failure-of-the-iterable-lost",
        MACHINE,
        "        if self.source_failure is not None:\n",
        "        if False:\n",
    ),
    Mutant(
        "generator-failure-is-eager",
        MACHINE,
        '        if outcome.kind == "fail" and not (cancelled or outcome.at_once):\n',
        "        if False:\n",
    ),
    Mutant(
        "generator-failure-lost",
        WORKER,
        "        if ending is not None:\n            raise ending\n",
        "",
    ),
    # -- limits ------------------------------------------------------------------------------------
    Mutant(
        "limit-keeps-its-slots",
        MACHINE,
        "    def drop(self) -> None:\n        self._release()\n",
        "    def drop(self) -> None:\n",
    ),
    # -- names -------------------------------------------------------------------------------------
    Mutant(
        "wrong-phi",
        MACHINE,
        "                if writer >= place:\n                    continue\n",
        "                if writer >= place or (frame.status[writer] == DONE and type(frame.plan.nodes[writer]).__name__ == 'Branch'):\n"
        "                    continue\n",
    ),
    Mutant(
        "deleted-name-stays-bound",
        WORKER,
        "                self.unbound.add(env)\n",
        "                pass\n",
    ),
    Mutant(
        "augmented-load-after-the-call",
        LANG,
        "            if env not in self.draft.sure or target.id in names_of([node.value]).binds:\n",
        "            if False:\n",
    ),
    Mutant(
        "operands-not-spilled",
        LANG,
        "            if result is not None and place < last and not self.draft.is_atom(result, later):\n",
        "            if False:\n",
    ),
    Mutant(
        "comprehension-names-leak",
        LANG,
        'scope = self.draft.scope.inner({name: f"{name}@{self.draft.temps}" for name in bound})\n',
        "scope = self.draft.scope.inner({})\n",
    ),
    Mutant(
        "or-is-and",
        LANG,
        "        if isinstance(node.op, ast.Or):\n            test = ",
        "        if False:\n            test = ",
    ),
    Mutant(
        "default-arguments-ignored",
        LANG,
        "] = default_of(target.function, name)\n",
        "] = None\n",
    ),
    # -- sharing and change ------------------------------------------------------------------------
    Mutant(
        "alias-of-a-chain-lost",
        LANG,
        "                for target in node.targets:\n                    reader.bind(target, sites)\n",
        "                for target in node.targets:\n                    reader.bind(target, sites)\n"
        "                    sites = 0\n",
    ),
    Mutant(
        "alias-through-container-lost",
        LANG,
        "        self.heap.hold(receiver, held)\n",
        "",
    ),
    Mutant(
        "alias-of-an-item-lost",
        LANG,
        "            return base | held\n",
        "            return self.fresh(node)\n",
    ),
    Mutant(
        "change-through-a-helper-lost",
        LANG,
        "        self.reader.change(written & ~fixed)\n        self.reader.change(resized & ~fixed, resized=True)\n",
        "",
    ),
    Mutant(
        "equal-objects-become-one",
        MACHINE,
        "    slot = known.get(ref.origin)\n    if slot is None:\n        slot = known[ref.origin] = len(slots)\n",
        "    same = hash(ref.artifact.digest)\n    slot = known.get(same)\n    if slot is None:\n"
        "        slot = known[same] = len(slots)\n",
    ),
    Mutant(
        "shared-objects-stored-apart",
        WORKER,
        "            if len(names) > 1 or (names and raised is not None):\n",
        "            if len(names) > 99 or (names and raised is not None):\n",
    ),
]


def found_before() -> dict[str, int]:
    """Return the seed of the program that found each mutant, as noted by ``--write``."""
    return json.loads(FOUND.read_text()) if FOUND.exists() else {}  # type: ignore[no-any-return]


def place_of(mutant: Mutant, source: Path) -> Path | None:
    """Return the file that holds the mutant's text, or None where it does not stand there exactly once."""
    counts = {
        path: path.read_text().count(mutant.old) for path in (source / "weft" / mutant.room).glob("*.py")
    }
    return next(path for path, count in counts.items() if count) if sum(counts.values()) == 1 else None


def stale() -> list[str]:
    """Return the mutants whose text does not stand exactly once in the code any more."""
    return [mutant.name for mutant in MUTANTS if place_of(mutant, ROOT / "src") is None]


def patched_copy(mutant: Mutant | None, folder: Path) -> Path:
    """Return a copy of ``src``, with the bug in it if there is one. The first copy in ``folder`` is the model of
    the others, so that the code may be edited meanwhile."""
    model = folder / "model"
    if not model.exists():
        shutil.copytree(ROOT / "src", model, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is None:
        return model
    copy = folder / mutant.name
    shutil.copytree(model, copy)
    target = place_of(mutant, copy)
    assert target is not None, f"{mutant.name} is stale"
    target.write_text(target.read_text().replace(mutant.old, mutant.new))
    return copy


def _too_long(*_: object) -> None:
    raise RuntimeError(TOO_LONG)


def judge_until_broken(first: int, count: int, skip: set[int]) -> Iterator[tuple[int, str]]:
    """Yield the failing seeds, in order. Runs inside the process that has the patched code."""
    from .longrun import judge_seed

    for seed in range(first, first + count):
        if seed in skip:
            continue
        # A bug may make a program run for ever; a slow machine may, too, so that proves nothing.
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(PROGRAM_SECONDS)
        _, verdict = judge_seed(seed)
        signal.alarm(0)
        if verdict.is_failure and TOO_LONG not in verdict.text:
            yield seed, verdict.text


def find(
    mutant: Mutant | None, count: int, skip: list[int], folder: Path, first: int = 0
) -> list[tuple[int, str]]:
    """Return the first failing seed with the bug; without one (None), all failing seeds of the code as it is."""
    source = patched_copy(mutant, folder)
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.law.mutants",
            "--child",
            "--first",
            str(first),
            "--count",
            str(count),
            "--skip",
            json.dumps(skip),
        ]
        + (["--all"] if mutant is None else []),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    if finished.returncode:
        return [(-1, finished.stderr.strip().splitlines()[-1])]
    return [tuple(found) for found in json.loads(finished.stdout)]


def child(given: argparse.Namespace) -> None:
    found = []
    for seed, text in judge_until_broken(given.first, given.count, set(json.loads(given.skip))):
        found.append((seed, text.splitlines()[0][:200]))
        if not given.all:
            break
    print(json.dumps(found))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.law.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="programs to try with each")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", help="the name of a mutant")
    parser.add_argument(
        "--no-baseline", action="store_true", help="the code as it is keeps the law on all of them"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--all", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="note which program found which mutant")
    parser.add_argument("--skip", default="[]", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given)
        return 0
    return table(given)


def table(given: argparse.Namespace) -> int:
    wanted = [m for m in MUTANTS if not given.only or m.name in given.only]
    old = [name for name in stale() if name in {m.name for m in wanted}]
    if old:
        print(f"stale, their text is not in the code: {', '.join(old)}")
    wanted = [m for m in wanted if m.name not in old]
    alive = len(old)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.workers) as pool:
        patched_copy(None, Path(folder))
        skip = [] if given.no_baseline else [seed for seed, _ in find(None, given.count, [], Path(folder))]
        if skip:
            print(f"{len(skip)} programs break the law without any mutant: {skip}")
        results = pool.map(lambda m: find(m, given.count, skip, Path(folder)), wanted)
        for mutant, found in zip(wanted, results, strict=True):
            good = bool(found) and found[0][0] >= 0
            alive += not good
            if given.write and good:
                FOUND.write_text(
                    json.dumps({**found_before(), mutant.name: found[0][0]}, indent=1, sort_keys=True) + "\n"
                )
            seed, text = found[0] if found else ("alive", "")
            print(f"{mutant.name:36} {seed!s:>6}  {text[:110]}", flush=True)
    print(
        f"{len(wanted) + len(old) - alive} of {len(wanted) + len(old)} mutants found within {given.count} programs"
    )
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())

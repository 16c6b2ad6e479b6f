"""What the generator writes, measured: ``python -m tests.law.histogram 500``."""

from __future__ import annotations

import ast
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .compare import outcome_of
from .forms import FORMS, TAGS, depth_of, forms_of
from .generator import WIDE_FROM, Source, program_from_seed
from .loading import module_from


@dataclass
class Histogram:
    """State: the counts over the programs seen so far."""

    programs: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    deep: int = 0
    raising: Counter[str] = field(default_factory=Counter)
    lines: int = 0

    def add(self, source: Source, folder: Path) -> None:
        """Count a program; its plain call tells whether it ends in an exception."""
        self.programs += 1
        self.lines += source.body.count("\n")
        self.forms.update(forms_of(source.body) | source.tags)
        functions = [node for node in ast.parse(source.body).body if isinstance(node, ast.FunctionDef)]
        self.deep += max(depth_of(function) for function in functions) >= 3
        with module_from(source.text, folder) as module:
            outcome = outcome_of(module.main, *module.inputs()[0])
        if outcome.error is not None:
            self.raising[type(outcome.error).__name__] += 1

    def percent(self, count: int) -> float:
        return 100 * count / max(self.programs, 1)

    def rare(self, least: float) -> list[str]:
        """Return the forms that stand in less than ``least`` percent of the programs."""
        return [name for name in (*FORMS, *TAGS) if self.percent(self.forms[name]) < least]

    def text(self) -> str:
        rows = [f"{name:32} {self.percent(self.forms[name]):5.1f} %" for name in (*FORMS, *TAGS)]
        half = (len(rows) + 1) // 2
        table = [f"{left:44} {right}" for left, right in zip(rows[:half], [*rows[half:], ""], strict=False)]
        raising = sum(self.raising.values())
        return "\n".join(
            [
                *table,
                f"programs {self.programs}, lines each {self.lines / max(self.programs, 1):.0f}",
                f"nested three deep {self.percent(self.deep):.1f} %",
                f"raising {self.percent(raising):.1f} %: {dict(self.raising.most_common())}",
            ]
        )


def measure(count: int, first: int = WIDE_FROM) -> Histogram:
    """Return the histogram of ``count`` seeds."""
    histogram = Histogram()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            histogram.add(program_from_seed(seed), Path(folder))
    return histogram


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 500).text())

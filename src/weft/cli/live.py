"""The display for a terminal: one line for each step, redrawn a few times a second. The only user of rich."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from weft.cli.display import StepTally, Tally
from weft.cli.output import GLYPHS, duration
from weft.clock import Clock, SystemClock
from weft.model.progress import AnyEvent

REDRAWS_PER_SECOND = 8
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_KEPT_LINES = 60  # what stays in the terminal when the run has ended
_BAR_CELLS = 12
_NARROW = 80  # below this many columns a bar is half as long
_TIME_WIDTH = 8
_SAID_BY_GLYPH = ("waiting", "running", "succeeded", "failed")


class _Columns(NamedTuple):
    """How wide the columns are: a step's name, the cells of a bar, its counts, the time."""

    name: int
    bar: int
    counts: int
    time: int


class LiveDisplay:
    """Counts events in the driver's thread and draws in rich's own, so that the run never waits for it."""

    shows_output = True

    def __init__(self, console: Console | None = None, clock: Clock | None = None) -> None:
        self.tally = Tally()
        self.clock = clock or SystemClock()
        self.console = console or Console(stderr=True)
        self.live = Live(
            self,
            console=self.console,
            refresh_per_second=REDRAWS_PER_SECOND,
            transient=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self.closing = False

    def open(self) -> None:
        self.live.start()

    def close(self) -> None:
        self.closing = True
        self.live.stop()

    def say(self, message: str) -> None:
        self.live.console.print(message, highlight=False, markup=False)

    def listen(self, event: AnyEvent) -> None:
        self.tally.take(event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("\n").join(self.lines(options.max_width, console.height))

    def lines(self, width: int, height: int) -> list[Text]:
        """Return the picture of now, at most ``height`` lines of ``width`` columns."""
        now = self.clock.now_ms()
        tally = self.tally
        steps = list(tally.steps.values())
        room = _KEPT_LINES if self.closing else max(3, height - 3 - len(tally.notices[:3]))
        shown, above, below = _window(steps, room)
        lines = [Text(f"! {notice}", "yellow") for notice in tally.notices[:3]]
        lines.append(self._head(now))
        if above:
            lines.append(Text(f"  {_summary(above)}", "bright_black"))
        columns = _columns(shown, width, now)
        lines += [self._line(step, columns, now) for step in shown]
        if below:
            lines.append(Text(f"  ○ {len(below)} more steps wait", "bright_black"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
            line.no_wrap = True
        return lines

    def _head(self, now: int) -> Text:
        tally = self.tally
        took = duration((tally.ended_ms or now) - tally.started_ms) if tally.started_ms else ""
        # How it ended is said by the lines below.
        state = f"  {tally.state}" if tally.state in ("failing", "cancelling") else ""
        return Text.assemble((tally.workflow, "bold"), f"  {took}{state}  ", (tally.run, "bright_black"))

    def _line(self, step: StepTally, columns: _Columns, now: int) -> Text:
        state = step.state
        glyph, colour = GLYPHS[state]
        if state == "running" and step.running:
            glyph = _SPINNER[now // (1000 // REDRAWS_PER_SECOND) % len(_SPINNER)]
        quiet = state in ("waiting", "skipped", "not_run")
        name = step.name if len(step.name) <= columns.name else step.name[: columns.name - 1] + "…"
        line = Text.assemble(
            "  ", (glyph, colour), f" {name:<{columns.name}}", style="bright_black" if quiet else ""
        )
        if columns.counts:
            bar = step.looped and state not in ("skipped", "not_run")
            line.append_text(_bar(step, columns) if bar else Text(" " * (columns.bar + columns.counts + 3)))
        line.append(f"  {_took(step, now):>{columns.time}}")
        if words := _words(step):
            line.append(f"  {words}", "red" if state == "failed" else "bright_black")
        return line


def _columns(steps: list[StepTally], width: int, now: int) -> _Columns:
    name = max((len(step.name) for step in steps), default=0)
    counts = [len(_count(step)) for step in steps if step.looped]
    bar = (_BAR_CELLS if width >= _NARROW else _BAR_CELLS // 2) if counts else 0
    time = max([_TIME_WIDTH, *(len(_took(step, now)) for step in steps)])
    return _Columns(min(name, width // 2), bar, max(counts, default=0), time)


def _took(step: StepTally, now: int) -> str:
    return duration(step.elapsed_ms(now)) if step.first_ms else ""


def _count(step: StepTally) -> str:
    return f"{step.done}/{step.total}"


def _bar(step: StepTally, columns: _Columns) -> Text:
    """Return ``  ━━━━────────  3/12``, as wide as every other."""
    filled = columns.bar * step.done // max(step.total, 1)
    bar = Text("  ")
    bar.append("━" * filled, "red" if step.ends.get("failed") else "green")
    bar.append("─" * (columns.bar - filled), "bright_black")
    bar.append(f" {_count(step):>{columns.counts}}")
    return bar


def _words(step: StepTally) -> str:
    """Return what is special about a step: counts other than success, and its last message."""
    state = step.state
    if step.looped:
        parts = [f"{n} {end.replace('_', ' ')}" for end, n in step.ends.items() if end != "succeeded"]
    else:
        parts = [] if state in _SAID_BY_GLYPH else [state.replace("_", " ")]
    if step.left:
        parts.append(step.left)
    elif step.looped and state == "not_run":
        parts.append("not run")
    if step.retries:
        parts.append(f"{step.retries} retried")
    message = step.trouble if state == "failed" else step.message if state == "running" else ""
    return " · ".join([*parts, *message.splitlines()[:1]])


def _window(steps: list[StepTally], room: int) -> tuple[list[StepTally], list[StepTally], list[StepTally]]:
    """Return the steps that fit, the done ones folded above, and the waiting ones folded below."""
    if len(steps) <= room:
        return steps, [], []
    active = [i for i, step in enumerate(steps) if step.state in ("running", "failed")]
    first = active[0] if active else next((i for i, step in enumerate(steps) if not step.done), len(steps))
    first = max(0, min(first - 1, len(steps) - room))
    return steps[first : first + room], steps[:first], steps[first + room :]


def _summary(steps: list[StepTally]) -> str:
    tasks = sum(step.done for step in steps)
    return f"✓ {len(steps)} steps above, {tasks} tasks done"

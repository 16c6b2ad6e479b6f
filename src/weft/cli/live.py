"""The display for a terminal: one line for each step, redrawn a few times a second. The only user of rich."""

from __future__ import annotations

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
_BAR_WIDTH = 26  # with the count, 12345/12345


class LiveDisplay:
    """Counts events in the driver's thread and draws in rich's own, so that the run never waits for it."""

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
        self.said: list[str] = []
        self.shown_notices = 0
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
        names = max((len(step.name) for step in shown), default=0)
        bars = any(step.looped for step in shown)
        lines += [self._line(step, names, bars, now) for step in shown]
        if below:
            lines.append(Text(f"  ○ {len(below)} more steps wait", "bright_black"))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
            line.no_wrap = True
        return lines

    def _head(self, now: int) -> Text:
        tally = self.tally
        took = duration((tally.ended_ms or now) - tally.started_ms) if tally.started_ms else ""
        state = "" if tally.state == "running" else f"  {tally.state}"
        return Text.assemble((tally.workflow, "bold"), f"  {took}{state}  ", (tally.run, "bright_black"))

    def _line(self, step: StepTally, names: int, bars: bool, now: int) -> Text:
        state = step.state
        glyph, colour = GLYPHS[state]
        if state == "running" and step.running:
            glyph = _SPINNER[now // (1000 // REDRAWS_PER_SECOND) % len(_SPINNER)]
        quiet = "bright_black" if state in ("waiting", "skipped", "not_run") else ""
        line = Text.assemble("  ", (glyph, colour), f" {step.name:<{names}}  ", style=quiet)
        if bars:
            line.append_text(_bar(step) if step.looped else Text(" " * _BAR_WIDTH))
        took = duration(step.elapsed_ms(now)) if step.first_ms and not quiet else ""
        line.append(f"{took:>11}")
        if words := _words(step):
            line.append(f"  {words}", "red" if state == "failed" else "bright_black")
        return line


def _bar(step: StepTally) -> Text:
    """Return ``━━━━────────  3/12``, as wide as every other."""
    filled = _BAR_CELLS * step.done // max(step.total, 1)
    bar = Text()
    bar.append("━" * filled, "red" if step.ends.get("failed") else "green")
    bar.append("─" * (_BAR_CELLS - filled), "bright_black")
    bar.append(f" {f'{step.done}/{step.total}':<{_BAR_WIDTH - _BAR_CELLS - 1}}")
    return bar


def _words(step: StepTally) -> str:
    """Return what is special about a step: counts other than success, and its last message."""
    state = step.state
    if step.looped:
        parts = [f"{n} {end.replace('_', ' ')}" for end, n in step.ends.items() if end != "succeeded"]
    else:
        parts = [state.replace("_", " ")] if state in ("reused", "skipped", "not_run", "cancelled") else []
    if step.retries:
        parts.append(f"{step.retries} retried")
    if step.message and state in ("running", "failed", "skipped"):
        parts.append(step.message.splitlines()[0])
    return " · ".join(parts)


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

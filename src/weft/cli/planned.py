"""How the plan of a resume looks in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from weft.cli.output import counted, duration, terminal_width, width_of
from weft.client.rerun.planning import StepPlan
from weft.client.rerun.resuming import Plan

_MARKS = {"reused": ("↺", "green"), "runs": ("●", "cyan"), "depends": ("◌", "yellow")}
_WIDTH, _NAME_WIDTH_MAX = 100, 40


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the plan: what is continued and how, what differs, a line for each step, the price."""
    yield _head(plan)
    for change in plan.changes:
        yield from _wrapped(f"  {click.style('changed', fg='yellow')}  ", change)
    names = [width_of(step.step) for step in plan.steps]
    name_width = min(_NAME_WIDTH_MAX, max(names, default=0))
    count_width = max((width_of(_count(step)) for step in plan.steps), default=0)
    for step in plan.steps:
        yield from _step_lines(step, plan, name_width, count_width)
    if plan.steps:
        yield f"  {_price(plan)}"
    for note in plan.notes:
        yield from _wrapped(f"  {click.style('note', fg='yellow')}  ", note)


def _head(plan: Plan) -> str:
    if plan.goes_on:
        return f"run {plan.run} of {plan.workflow} was interrupted and goes on as it was"
    code = "with the code that it had" if plan.code == "pinned" else "with the code as it is now"
    return f"run {plan.run} of {plan.workflow} {_STATES.get(plan.state, f'is {plan.state}')}; a new run continues it {code}"


_STATES = {"succeeded": "has succeeded", "failed": "failed", "cancelled": "was cancelled"}


def _step_lines(step: StepPlan, plan: Plan, name_width: int, count_width: int) -> Iterator[str]:
    glyph, colour = _MARKS[step.verdict]
    name = step.step + " " * (name_width - width_of(step.step))
    head = f"  {click.style(glyph, fg=colour)} {name}  {_count(step):<{count_width}}  "
    yield from _wrapped(head, _words(step, plan.goes_on))


def _count(step: StepPlan) -> str:
    return counted(step.tasks, "task") if step.tasks else ""


def _words(step: StepPlan, goes_on: bool) -> str:
    kept = "done" if goes_on else "reused"
    if step.verdict == "reused":
        return kept
    if step.verdict == "depends":
        return f"runs again {_condition(step)}, else {kept}" if step.tasks else f"runs {_condition(step)}"
    why = ", ".join([*(change.short for change in step.changes), *step.was])
    if not step.tasks:
        return f"runs: {why}"
    if step.may_run:
        return f"{step.runs} to run: {why}; {step.may_run} more {_condition(step)}"
    words = f"{step.reused} {kept}, {step.runs} to run" if step.reused else "runs again"
    return f"{words}: {why}" if why else words


def _condition(step: StepPlan) -> str:
    return f"where {' or '.join(step.depends_on)} differs"


def _price(plan: Plan) -> str:
    price = plan.price
    words = []
    if price.most_ms:
        least, most = duration(price.least_ms), duration(price.most_ms)
        about = f"about {most}" if least == most else f"{least} to {most}"
        words.append(f"takes {about} on {counted(price.slots, 'slot')}, by what that run took")
    if price.unknown:
        words.append(f"how long {', '.join(price.unknown)} will take is not known")
    if price.saved_ms:
        words.append(
            f"{duration(price.saved_ms)} of work {'is' if words else 'is all'} {'done' if plan.goes_on else 'reused'}"
        )
    runs = any(step.verdict != "reused" for step in plan.steps)
    return "; ".join(words) or (
        "takes next to no time, by what that run took" if runs else "nothing is to run"
    )


def _wrapped(head: str, text: str) -> Iterator[str]:
    """Yield ``text`` behind ``head``, its further lines under its first."""
    indent = width_of(head)
    width = max(30, (terminal_width() or _WIDTH) - indent)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    yield head + lines[0]
    yield from (" " * indent + line for line in lines[1:])

"""What boxes and arrows are called: pieces of the user's source, names, a step's settings."""

from __future__ import annotations

import re

from weft.program.nodes import Branch, Handler, Loop, Program, Span, StepSpec

LABEL_CHARACTERS_MAX = 48
_LINE_END = 1 << 30


def excerpt(program: Program, span: Span) -> str:
    """Return the source text under ``span`` on one line, or an empty text where it is not known."""
    if not 0 <= span.unit < len(program.units):
        return ""
    unit = program.units[span.unit]
    lines = unit.source.splitlines()
    first, last = span.line - unit.first_line, span.end_line - unit.first_line
    if not 0 <= first <= last < len(lines):
        return ""
    # Python counts columns in UTF-8 bytes.
    taken = [line.encode() for line in lines[first : last + 1]]
    taken[-1] = taken[-1][: span.end_column]
    taken[0] = taken[0][span.column :]
    return re.sub(r"\s+", " ", b" ".join(taken).decode(errors="replace")).strip()


def shorten(text: str, length: int = LABEL_CHARACTERS_MAX) -> str:
    """Return ``text``, cut with an ellipsis past ``length`` characters."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def file_of(program: Program, span: Span) -> str:
    """Return the file that ``span`` is in."""
    return program.units[span.unit].file if 0 <= span.unit < len(program.units) else program.file


def test_label(program: Program, span: Span) -> str:
    """Return what a branch asks: its test, or the first line of a ``match``."""
    text = excerpt(program, span)
    if text.startswith("match ") and span.end_line > span.line:
        text = excerpt(program, Span(span.unit, span.line, span.column, span.line, _LINE_END)).rstrip(": ")
    return shorten(text or "if")


def loop_label(node: Loop, over: str) -> str:
    """Return a loop's head: ``for m in months``."""
    targets = ", ".join(plain_name(name) for name in node.targets) or "_"
    head = node.label or f"{targets} in {over}"
    return shorten(head if head.startswith("for ") else f"for {head}")


def handler_label(handler: Handler) -> str:
    """Return a handler's head: ``except ValueError``."""
    label = handler.label
    return label if label.startswith("except") else f"except {label}".strip()


def plain_name(name: str) -> str:
    return name.split("@", 1)[0] or name


def parameter_label(name: str, kind: str, default: str | None) -> str:
    stars = {"var_positional": "*", "var_keyword": "**"}.get(kind, "")
    return f"{stars}{name}" + (f"={default}" if default is not None else "")


def arm_label(node: Branch, number: int) -> str:
    if number < len(node.labels):
        label = node.labels[number]
        return {"if": "yes", "else": "no"}.get(label, label)
    return ("yes" if len(node.arms) <= 2 else f"arm {number + 1}") if number == 0 else "no"


def step_detail(spec: StepSpec) -> str:
    parts = []
    if spec.retries:
        parts.append(f"retries {spec.retries}")
    if spec.timeout_ms is not None:
        parts.append(f"timeout {spec.timeout_ms / 1000:g} s")
    if spec.cpu != 1.0:
        parts.append(f"cpu {spec.cpu:g}")
    if spec.memory_bytes is not None:
        most = f" to {spec.memory_bytes_max / 2**30:.3g}" if spec.memory_bytes_max else ""
        parts.append(f"memory {spec.memory_bytes / 2**30:.3g}{most} GiB")
    if spec.gpu:
        parts.append(f"gpu {spec.gpu}")
    if spec.cache:
        parts.append("cached")
    return ", ".join(parts)

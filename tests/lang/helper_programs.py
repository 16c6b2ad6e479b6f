"""Workflows around plain helpers whose bodies change, keep and give back their arguments in odd ways.

Everything is a list of lists (or a box, a dict, an array), so every statement fits every value.
"""

from __future__ import annotations

from hypothesis import strategies as st

PRELUDE = """
import copy
import functools
import operator
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass

from weft import step, workflow


@step
def inc(n):
    return n + 1


class Box:
    def __init__(self, value, other=None):
        self.value = value
        self.other = other

    def add(self, value):
        self.value.append(value)
        return self.other

    def get(self):
        self.value.append("got")
        return self.value


@dataclass
class Record:
    value: list
    other: list


class Greedy:
    def __init__(self, value):
        value.append("greedy")
        self.value = value


@contextmanager
def entered(value):
    value.append("entered")
    yield value


def mark(value, x):
    value.append(x)


def first(value):
    return value[0] if value and isinstance(value[0], list) else value


def deep(value, x, depth=2):
    value.append(x)
    if depth and isinstance(first(value), list):
        deep(first(value), x, depth - 1)


def same(value):
    return value


def fresh(value):
    return [len(value)]


def keyed(value):
    value.append("keyed")
    return 0
"""

# {p}, {q}: names that hold lists; {t}: a name to bind; {i}: a number.
SIMPLE = [
    "{p}.append({q})",
    "{p}.append({i})",
    "{t} = {q}",
    "{t} = first({q})",
    "{t} = list({q})",
    "{t} = {q}[:]",
    "{t} = {q}[:{i}]",
    "{t} = [{p}, {q}]",
    "{t} = [{p}][0]",
    "{t} = {p} + {q}",
    "{t} = [v for v in {q}]",
    "{t} = [[v] for v in {q}]",
    "{t} = copy.copy({q})",
    "{t} = copy.deepcopy({q})",
    "{p} += [{q}]",
    "{p} += {q}[:2]",
    "{p}[:] = [{q}]",
    "{p}[0:0] = {q}[:1]",
    "{p}.extend({q}[:2])",
    "{p}.insert(0, {q})",
    "{p}.reverse()",
    "del {p}[2:]",
    "{t} = {p} or {q}",
    "{t} = {p} if len({q}) % 2 else {q}",
    "{t} = max([{p}, {q}], key=len)",
    "{t} = sorted([{p}, {q}], key=keyed)",
    "{t} = sorted([{p}, {q}], key=lambda v: len(v))[0]",
    "{t} = sum([[{p}], [{q}]], [])",
    "{t} = sum([[{p}], [{q}]], [])[0]",
    "{t} = [*{p}, {q}]",
    "{t}, *{u} = [{p}, {q}, {p}]",
    "{t}, {u} = {p}, {q}",
    "({t} := {q}).append({i})",
    "{t} = Box({p}, {q}).value",
    "{t} = Box({p}, {q}).add({i}) or {q}",
    "{t} = Box({p}).get()",
    "{t} = Record({p}, {q}).other",
    "{t} = Greedy({p}).value",
    "Greedy({p})",
    "{t} = {{'k': {p}}}['k']",
    "{t} = dict(k={p})['k']",
    "{t} = dict([('k', {p})])['k']",
    "{t} = {{'k': {p}}}.get('k')",
    "{t} = list({{'k': {p}}}.values())[0]",
    "{t} = {{'k': {p}}}.setdefault('k', {q})",
    "{t} = {{**{{'k': {p}}}}}['k']",
    "{t} = defaultdict(list, k={p})['k']",
    "{t} = getattr(Box({p}), 'value')",
    "{t} = vars(Box({p}))['value']",
    "setattr(Box({p}), 'value', {q})",
    "list.append({p}, {q})",
    "getattr({p}, 'append')({i})",
    "(lambda v: v.append({i}))({p})",
    "{t} = (lambda: {p})()",
    "{t} = [f() for f in [lambda: {p}]][0]",
    "functools.partial(mark, {p})({i})",
    "functools.reduce(lambda a, b: a.append({i}) or a, [{p}, {q}])",
    "operator.setitem({p}, slice(0, 1), [{q}])",
    "operator.iadd({p}, [{i}])",
    "{t} = list(map(same, [{p}]))[0]",
    "list(map(lambda v: v.append({i}), [{p}]))",
    "list(map({p}.append, [{i}]))",
    "{t} = [v for v in zip([{p}], [{q}])][0][1]",
    "{t} = [v for _, v in enumerate([{p}, {q}])][1]",
    "{t} = next(iter([{p}]))",
    "{t} = same({p})",
    "{t} = fresh({p})",
    "mark({p}, {i})",
    "mark({p}, {q})",
    "deep({p}, {i})",
    "mark(*[{p}, {i}])",
    "mark(**dict(value={p}, x={i}))",
    "return {p}",
    "return first({p})",
    "return [{p}, {q}]",
    "return {p}, {i}",
    "return fresh({p})",
    "assert len({p}) >= 0, {p}.append({i})",
    "print(end='')",
    "{t} = {p}; {t}.append({i})",
]
BLOCKS = [
    "for v in {p}[:2]:\n    {t} = v if isinstance(v, list) else {q}\n    {t}.append({i})",
    "for {t} in [{p}, {q}]:\n    {t}.append({i})",
    "if len({p}) % 2:\n    {a}\nelse:\n    {b}",
    "if len({p}) % 2 == 0:\n    {a}",
    "try:\n    {a}\n    raise KeyError({p})\nexcept KeyError as e:\n    {t} = e.args[0]\n    {b}",
    "try:\n    {a}\nfinally:\n    {b}",
    "with entered({p}) as {t}:\n    {a}",
    "def inner(v):\n    v.append({i})\n    return {q}\n{t} = inner({p})",
    "def inner():\n    {p}.append({i})\ninner()",
    "match [{p}, {q}]:\n    case [{t}, *_]:\n        {a}",
    "count = 0\nwhile count < 2:\n    count += 1\n    {a}",
    "{t} = []\nfor v in [{p}, {q}]:\n    {t}.append(v)\n{t} = {t}[0]",
]
HELPER_CALLS = [
    "{t} = {h}({p}, {q})",
    "{h}({p}, {q})",
    "return {h}({q}, {p})",
    "{t} = [{h}(v, {q}) for v in [{p}]][0]",
]
AFTER = [
    "{p}.append({x})",
    "first({p}).append({x})",
    "mark({p}, {x})",
    "mark(first({p}), {x})",
    "{p} = h0({p}, {q})",
    "r = h0({p}, {q})",
    "s = h0({p}, r)",
    "if len({p}) % 2:\n        {q}.append({x})",
]


def _names(draw: st.DrawFn, names: list[str]) -> dict[str, object]:
    pick = st.sampled_from(names)
    return {
        "p": draw(pick),
        "q": draw(pick),
        "t": draw(st.sampled_from([*names, "t0", "t1"])),
        "u": draw(st.sampled_from(["t0", "t1"])),
        "i": draw(st.integers(1, 3)),
    }


def _statement(draw: st.DrawFn, names: list[str], helpers: list[str]) -> str:
    forms = [*SIMPLE, *BLOCKS] + HELPER_CALLS * (3 if helpers else 0)
    form = draw(st.sampled_from(forms))
    given = _names(draw, names)
    if form in BLOCKS:
        given |= {part: draw(st.sampled_from(SIMPLE)).format(**_names(draw, names)) for part in ("a", "b")}
    if form in HELPER_CALLS:
        given["h"] = draw(st.sampled_from(helpers))
    text = form.format(**given)
    if str(given["t"]).startswith("t") and f"{given['t']} " in text + " " and given["t"] not in names:
        names.append(str(given["t"]))
    return text


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


@st.composite
def helper(draw: st.DrawFn, name: str, helpers: list[str]) -> str:
    """A helper of two lists; it may call ``helpers``, and itself."""
    names = ["a", "b"]
    body = ["t0, t1 = [0], [[1]]"]
    if draw(st.booleans()):
        body.append("if len(a) > 6: return b")
        helpers = [*helpers, name]
        body.append("a.append(0)")
    body += [_statement(draw, names, helpers) for _ in range(draw(st.integers(1, 5)))]
    return f"def {name}(a, b):\n{_indented(chr(10).join(body))}\n    return {draw(st.sampled_from(['a', 'b', 't0', 't1']))}\n"


@st.composite
def helper_program(draw: st.DrawFn) -> str:
    """A module with helpers and a workflow ``main`` that calls them between steps."""
    parts = [draw(helper("h1", [])), draw(helper("h0", ["h1"]))]
    lines = [
        "r = s = [[7]]",
        f"r = h0({draw(st.sampled_from(['a, b', 'b, a', 'a, a', 'a, first(a)', 'first(a), a', 'a, c']))})",
    ]
    for number in range(draw(st.integers(1, 3))):
        x = f"x{number}"
        lines.append(f"{x} = inc({number})")
        pick = st.sampled_from(["a", "b", "c", "r", "s"])
        line = draw(st.sampled_from(AFTER)).format(p=draw(pick), q=draw(pick), x=x)
        if draw(st.integers(0, 4)) == 0:
            line = f"for k in range(2):\n    y = inc(k)\n    {line.replace(chr(10), chr(10) + '    ')}\n    b.append(y)"
        lines.append(line)
        lines.append("n = inc(len(r))")
    lines.append("return a, b, c, r, s, n")
    parts.append("@workflow\ndef main(a, b, c):\n" + _indented("\n".join(lines)) + "\n")
    return PRELUDE + "\n\n" + "\n\n".join(parts)


def program_of_form(form: str, returned: str) -> str:
    """A module whose helper is one statement; its workflow changes whatever the result may share, node by node."""
    text = form.format(p="a", q="b", t="t0", u="t1", i=9, x=9, h="mark", a="a.append(8)", b="b.append(8)")
    helper_text = f"def h0(a, b):\n    t0, t1 = [0], [[1]]\n{_indented(text)}\n    return {returned}\n"
    lines = ["r = h0(a, b)"]
    for number, changed in enumerate(("r", "first(r)", "a", "b", "first(a)", "r[-1]", "first(b)")):
        lines.append(f"x{number} = inc({number})")
        guard = f"if isinstance({changed}, list):\n    " if "[" in changed else ""
        lines.append(f"{guard}{changed}.append(x{number})")
    lines += ["s = h0(b, a)", "n = inc(0)", "s.append(n)", "return a, b, c, r, s"]
    return f"{PRELUDE}\n\n{helper_text}\n\n@workflow\ndef main(a, b, c):\n{_indented(chr(10).join(lines))}\n"

"""Random expressions, by the kind of value they give. Each production returns source text.

``value`` gives a new object; ``read`` may give a name instead, for places that only look at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .writer import Production, Signature, Writer

Make = Callable[[Writer, int], str]


def value(w: Writer, kind: str, depth: int) -> str:
    """Return an expression for a new value of ``kind``."""
    table = TABLES[kind]
    if depth <= 0:
        table = PLAIN[kind] if not w.steps or w.chance(50) else SHORT[kind]
    elif not w.steps:
        table = PLAIN[kind]
    return w.run(table, depth - 1)


def read(w: Writer, kind: str, depth: int) -> str:
    """Return a name of that kind, or where there is none (or seldom anyway) a new value."""
    name = w.known(kind)
    return name if name is not None and not w.chance(25) else value(w, kind, depth)


def number(w: Writer, depth: int) -> str:
    return value(w, "int", depth)


def fill(w: Writer, template: str) -> str:
    """Return ``template`` with each ``<kind depth>`` made a value, and each ``<kind? depth>`` read.

    One template is chosen before it is filled, so that no expression is written and then dropped: what
    it binds would count as bound.
    """
    return re.sub(r"<(\w+)(\??) (\d)>", lambda m: (read if m[2] else value)(w, m[1], int(m[3])), template)


# -- numbers ---------------------------------------------------------------------------------------


def literal(w: Writer, depth: int) -> str:
    return str(w.below(7))


def number_name(w: Writer, depth: int) -> str:
    if w.items and w.chance(60):
        return w.pick(w.items)
    return w.known("int") or literal(w, depth)


def atom(w: Writer, depth: int) -> str:
    return number_name(w, depth) if w.chance(75) else literal(w, depth)


def call_inc(w: Writer, depth: int) -> str:
    if w.chance(30):
        return f"inc({number(w, depth)}, by={number(w, depth)})"
    return f"inc({number(w, depth)})"


def call_add(w: Writer, depth: int) -> str:
    parts = [number(w, depth) for _ in range(1 + w.below(3))]
    if w.chance(35):
        parts.append(f"scale={number(w, depth)}")
    if w.chance(15):
        parts.insert(w.below(2), f"*({number(w, 0)}, {number(w, 0)})")
    return f"add({', '.join(parts)})"


def call_plain_step(w: Writer, depth: int) -> str:
    name = w.pick(("slow", "half", "later", "quick", "echo", "inc.options(retries=1)"))
    return f"{name}({number(w, depth)})"


def call_later(w: Writer, depth: int) -> str:
    return f"later({number(w, depth)}, by={number(w, depth)})"


def call_root(w: Writer, depth: int) -> str:
    return f"root(abs({number(w, depth)}))"


def call_total(w: Writer, depth: int) -> str:
    parts = [f"*{read(w, 'list', depth)}"]
    if w.chance(50):
        parts.insert(0, number(w, depth))
    if w.chance(40):
        parts.append(f"start={number(w, depth)}")
    if w.chance(60):
        parts.append(f"**{read(w, 'dict', depth)}")
    return f"total({', '.join(parts)})"


def call_measure(w: Writer, depth: int) -> str:
    return f"measure({read(w, 'list', depth)})"


def risky_step(w: Writer, depth: int) -> str:
    if not w.chance(w.risk * 3):
        return call_inc(w, depth)
    kind = w.pick(
        ("value", "clash", "missing", "zero", "value", "clash", "halt" if w.chance(20) else "missing")
    )
    modulus = 2 + w.below(4)
    if kind == "value":
        return f"fail_if({number(w, depth)}, {modulus})"
    return (
        f"fail_if({number(w, depth)}, {modulus}, kind={kind!r})"
        if kind != "clash"
        else f"slow_fail({number(w, depth)}, {modulus})"
    )


def risky_plain(w: Writer, depth: int) -> str:
    if not w.chance(w.risk * 3):
        return atom(w, depth)
    choice = w.below(4)
    if choice == 0:
        return f"{read(w, 'list', depth)}[{w.below(3)}]"
    if choice == 1:
        return f"{read(w, 'dict', depth)}[{w.pick(('a', 'b', 'k'))!r}]"
    if choice == 2:
        return f"{number(w, 0)} // {number(w, 0)}"
    return f"{read(w, 'dict', 0)}['a']"


def arithmetic(w: Writer, depth: int) -> str:
    operator = w.pick(("+", "-", "+", "*"))
    text = f"({number(w, depth)} {operator} {number(w, depth)})"
    return f"({text} % 97)" if operator == "*" else text


def remainder(w: Writer, depth: int) -> str:
    return f"({number(w, depth)} % {2 + w.below(5)})"


def negative(w: Writer, depth: int) -> str:
    return f"(-{number(w, depth)})"


def conditional(w: Writer, depth: int) -> str:
    condition = test(w, depth)
    with w.having(doubtful=True):
        return f"({number(w, depth)} if {condition} else {number(w, depth)})"


def short_circuit(w: Writer, depth: int) -> str:
    first = number(w, depth)
    with w.having(doubtful=True):
        rest = [number(w, depth) for _ in range(1 + w.below(2))]
    return f"({w.pick((' or ', ' and ')).join([first, *rest])})"


def walrus(w: Writer, depth: int) -> str:
    if not w.binds:
        return atom(w, depth)
    right = number(w, depth)
    name = w.target("int")
    if name in w.items:
        return right
    if w.items:
        w.leaked.append(name)
    w.bind(name, "int")
    return f"({name} := {right})"


def length(w: Writer, depth: int) -> str:
    return f"len({read(w, w.pick(('list', 'dict', 'str', 'rows', 'bag', 'set')), depth)})"


def builtin_sum(w: Writer, depth: int) -> str:
    return f"{w.pick(('sum', 'tally'))}({read(w, 'list', depth)})"


def attribute(w: Writer, depth: int) -> str:
    box = read(w, "box", depth)
    return w.pick((f"{box}.n", f"{box}.total()", f"len({box}.items)"))


def tuple_item(w: Writer, depth: int) -> str:
    return f"{read(w, 'tuple', depth)}[{w.below(2)}]"


def subscript(w: Writer, depth: int) -> str:
    return f"[{number(w, depth)}, {number(w, depth)}, {number(w, 0)}][{number(w, depth)} % 3]"


def subscript_by_step(w: Writer, depth: int) -> str:
    return f"{w.known('tuple') or '(4, 6)'}[inc({number(w, depth)}) % 2]"


def dict_get(w: Writer, depth: int) -> str:
    return f"{read(w, 'dict', depth)}.get({w.pick(('a', 'b', 'k'))!r}, {number(w, depth)})"


def from_lambda(w: Writer, depth: int) -> str:
    with w.having(steps=False, binds=False):
        body = number(w, 1)
    return f"(lambda v: v + {body})({number(w, depth)})"


def text_length(w: Writer, depth: int) -> str:
    return f"len({value(w, 'str', depth)})"


def truth(w: Writer, depth: int) -> str:
    return f"bool({test(w, depth)})"


def early_stop(w: Writer, depth: int) -> str:
    """A consumer that may not read its generator to the end."""
    w.tag("early-stop")
    # What fails behind the place where the consumer stops must not be seen.
    with w.having(risk=max(w.risk, 12.0)):
        if w.chance(50):
            return f"{w.pick(('any', 'all'))}({generator(w, depth, test)})"
        if w.chance(60):
            return f"next({generator(w, depth, number, parens=True)}, {w.below(9)})"
        return f"first_above({generator(w, depth, number, parens=True)}, {w.below(5)})"


def zipped(w: Writer, depth: int) -> str:
    w.tag("early-stop")
    with w.having(binds=False):
        first, second = (generator(w, depth, number, parens=True) for _ in range(2))
    return f"sum(a * b % 7 for a, b in zip({first}, {second}))"


def consumed(w: Writer, depth: int) -> str:
    with_default = w.chance(50)
    if with_default:
        return f"max({generator(w, depth, number, parens=True)}, default=0)"
    return f"sum({generator(w, depth, number)})"


def call_workflow(w: Writer, depth: int) -> str:
    signature = callable_workflow(w, "int")
    return atom(w, depth) if signature is None else workflow_call(w, signature, depth)


# -- truth values ----------------------------------------------------------------------------------


def test(w: Writer, depth: int) -> str:
    """Return an expression that is used for its truth."""
    return w.run(TESTS if w.steps and depth > 0 else PLAIN_TESTS, depth - 1)


def comparison(w: Writer, depth: int) -> str:
    return f"{number(w, depth)} {w.pick(('<', '>', '==', '<=', '!='))} {number(w, depth)}"


def chained(w: Writer, depth: int) -> str:
    first, second = number(w, depth), number(w, depth)
    with w.having(doubtful=True):
        third = number(w, depth)
    return f"({first} < {second} {w.pick(('<=', '!=', '<'))} {third})"


def step_test(w: Writer, depth: int) -> str:
    return f"is_even({number(w, depth)})"


def negation(w: Writer, depth: int) -> str:
    return f"(not {test(w, depth)})"


def both(w: Writer, depth: int) -> str:
    first = test(w, depth)
    with w.having(doubtful=True):
        return f"({first} {w.pick(('and', 'or'))} {test(w, depth)})"


def membership(w: Writer, depth: int) -> str:
    return f"{number(w, depth)} {w.pick(('in', 'not in'))} {read(w, w.pick(('list', 'set')), depth)}"


def is_none(w: Writer, depth: int) -> str:
    return f"nothing({number(w, depth)}) is {w.pick(('None', 'not None'))}"


def parity(w: Writer, depth: int) -> str:
    return f"{atom(w, 0)} % 2 == {w.below(2)}"


def filled(w: Writer, depth: int) -> str:
    return read(w, w.pick(("list", "dict", "set")), 0)


# -- generators and comprehensions -----------------------------------------------------------------


@contextmanager
def over(w: Writer, depth: int) -> Iterator[str]:
    """Give ``for … in …`` of a comprehension, with its targets known inside."""
    before, frozen = list(w.items), list(w.scope.frozen)
    if not before:
        w.leaked.clear()
    with w.having(binds=False):
        clause = w.run(SOURCES, depth)
    with w.having(doubtful=True, loops=w.loops + 1):
        yield clause
    w.items, w.scope.frozen = before, frozen


def item_name(w: Writer) -> str:
    """Return a comprehension's own name: a new one, or one that hides a name of the function."""
    # An inner loop may not bind what a walrus before it has bound.
    free = [name for name in ("x", "y", "z", "n0", "n1") if name not in (*w.items, *w.leaked)]
    name = w.pick(free) if free else w.serial("q")
    w.items.append(name)
    return name


def over_list(w: Writer, depth: int) -> str:
    text = value(w, "list", depth) if w.chance(20) else f"{read(w, 'list', 0)}[:{2 + w.below(2)}]"
    return f"for {item_name(w)} in {text}"


def over_name(w: Writer, depth: int) -> str:
    name = w.known("list")
    if name is None or w.turns > 1:
        return over_range(w, depth)
    w.scope.frozen.append(name)
    return f"for {item_name(w)} in {name}"


def over_range(w: Writer, depth: int) -> str:
    text = f"range({number(w, 0)} % 4)" if w.chance(30) else f"range({1 + w.below(3)})"
    return f"for {item_name(w)} in {text}"


def over_literal(w: Writer, depth: int) -> str:
    text = f"({number(w, depth)}, {number(w, 0)})"
    return f"for {item_name(w)} in {text}"


def over_pairs(w: Writer, depth: int) -> str:
    source = fill(w, w.pick(("enumerate(<list? 1>[:3])", "zip(<list? 0>[:3], (<int 0>, 4))")))
    return f"for {item_name(w)}, {item_name(w)} in {source}"


def over_items(w: Writer, depth: int) -> str:
    text = read(w, "dict", depth)
    return f"for _, {item_name(w)} in {w.pick(('', 'sorted'))}({text}.items())"


def over_values(w: Writer, depth: int) -> str:
    text = read(w, "dict", 0)
    return f"for {item_name(w)} in {text}.values()"


def over_set(w: Writer, depth: int) -> str:
    text = read(w, "set", depth)
    return f"for {item_name(w)} in {text}"


def over_generator(w: Writer, depth: int) -> str:
    if w.chance(w.risk * 4):
        w.tag("broken-iterable")
        text = f"broken_after({read(w, 'list', 0)}[:3], {w.below(3)})"
    else:
        text = f"countdown({number(w, 0)})"
    return f"for {item_name(w)} in {text}"


SOURCES: list[Production] = [
    (4, over_list),
    (4, over_range),
    (3, over_literal),
    (3, over_name),
    (3, over_pairs),
    (2, over_items),
    (1, over_values),
    (2, over_set),
    (3, over_generator),
]


def clauses(w: Writer, depth: int, make: Make) -> str:
    """Return a comprehension's inside: the element, its ``for`` clauses and filters."""
    with over(w, depth) as first:
        parts = [first]
        if w.chance(25):
            parts.append(f"if {test(w, depth)}")
        if len(w.items) < 4 and w.chance(15):
            with over(w, depth) as second:
                return f"{make(w, depth)} {' '.join([*parts, second])}"
        if w.chance(12) and w.binds and (name := w.target("int")) not in w.items:
            condition = f"if ({name} := {number(w, depth)}) > {w.below(4)}"
            w.leaked.append(name)
            w.bind(name, "int")
            parts.append(condition)
        return f"{make(w, depth)} {' '.join(parts)}"


def generator(w: Writer, depth: int, make: Make, *, parens: bool = False) -> str:
    # A walrus in a generator is refused: what it binds depends on how far the consumer reads.
    with w.having(binds=False):
        text = clauses(w, depth, make)
    return f"({text})" if parens else text


def listcomp(w: Writer, depth: int) -> str:
    return f"[{clauses(w, depth, number)}]"


def nested_listcomp(w: Writer, depth: int) -> str:
    with over(w, depth) as outer:
        return f"[{listcomp(w, depth)} {outer}]"


def unrolled_listcomp(w: Writer, depth: int) -> str:
    return (
        f"[stage({number(w, depth)}) for stage in {w.pick(('(inc, half)', 'STAGES', '[slow, quick, inc]'))}]"
    )


# -- lists -----------------------------------------------------------------------------------------


def list_display(w: Writer, depth: int) -> str:
    return f"[{', '.join(number(w, depth) for _ in range(w.below(4)))}]"


def list_starred(w: Writer, depth: int) -> str:
    return f"[{number(w, depth)}, *{read(w, 'list', depth)}[:3], {number(w, depth)}]"


def list_slice(w: Writer, depth: int) -> str:
    return f"{read(w, 'list', depth)}[{number(w, depth)} % 2:{2 + w.below(2)}]"


def list_slice_plain(w: Writer, depth: int) -> str:
    return f"{read(w, 'list', 0)}[{w.below(2)}:3]"


def list_copy(w: Writer, depth: int) -> str:
    return f"{w.pick(('list', 'sorted'))}({read(w, 'list', depth)}[:4])"


def list_step(w: Writer, depth: int) -> str:
    if w.chance(50):
        return f"make_list({number(w, depth)})"
    return f"shifted({read(w, 'list', depth)}, {number(w, 0)})"


def list_sorted(w: Writer, depth: int) -> str:
    if w.chance(40):
        return f"sorted({generator(w, depth, number, parens=True)}, key=lambda v: (v % 3, v))"
    return f"{w.pick(('sorted', 'list'))}({generator(w, depth, number)})"


def list_joined(w: Writer, depth: int) -> str:
    return f"({read(w, 'list', depth)}[:2] + {value(w, 'list', depth)})"


def list_mapped(w: Writer, depth: int) -> str:
    with w.having(steps=False, binds=False):
        body = number(w, 0)
    return f"list(map(lambda v: v + {body}, {read(w, 'list', 0)}[:4]))"


def list_of_set(w: Writer, depth: int) -> str:
    return f"sorted({value(w, 'set', depth)})"


def list_of_zip(w: Writer, depth: int) -> str:
    with w.having(binds=False):
        first, second = generator(w, depth, number, parens=True), read(w, "list", depth)
    return f"[a + b for a, b in zip({first}, {second}[:3])]"


# -- the other kinds -------------------------------------------------------------------------------


def dict_display(w: Writer, depth: int) -> str:
    return f"{{'a': {number(w, depth)}, {w.pick(('b', 'k'))!r}: {number(w, depth)}}}"


def dict_merged(w: Writer, depth: int) -> str:
    if w.chance(30):
        return f"({read(w, 'dict', depth)} | {dict_display(w, depth)})"
    return f"{{**{read(w, 'dict', depth)}, {w.pick(('a', 'z'))!r}: {number(w, depth)}}}"


def dict_keyed_by_step(w: Writer, depth: int) -> str:
    return f"{{label({number(w, depth)} % 4): {number(w, depth)}, 'b': {number(w, 0)}}}"


def dict_comp(w: Writer, depth: int) -> str:
    return f"{{{clauses(w, depth, key_and_number)}}}"


def key_and_number(w: Writer, depth: int) -> str:
    key = w.pick(("str({} % 5)", "f'k{{{}}}'", "label({} % 3)")).format(w.items[-1])
    return f"{key}: {number(w, depth)}"


def small(w: Writer, depth: int) -> str:
    return f"{number(w, depth)} % 8"


def dict_comp_items(w: Writer, depth: int) -> str:
    with w.having(items=[*w.items, "v"], doubtful=True):
        element = number(w, depth)
    return f"{{k: {element} for k, v in {read(w, 'dict', 0)}.items()}}"


def dict_step(w: Writer, depth: int) -> str:
    return f"make_dict({number(w, depth)})"


def dict_zipped(w: Writer, depth: int) -> str:
    return f"dict(zip('ab', {generator(w, depth, number, parens=True)}))"


def text_literal(w: Writer, depth: int) -> str:
    return repr(w.pick(("p", "qr", "s-t")))


def text_formatted(w: Writer, depth: int) -> str:
    spec = w.pick(("", ":03d", "!r", ":>4"))
    with w.having(binds=False):
        first, second = spaced(number(w, depth)), spaced(number(w, depth))
    return f"f'{{{first}{spec}}}-{{{second}}}'"


def spaced(text: str) -> str:
    """Return ``text`` fit for a replacement field: an f-string of Python 3.11 knows no reuse of quotes."""
    return f"({text})" if not set("'\"{}:=!\\") & set(text) else "inc(1)"


def text_step(w: Writer, depth: int) -> str:
    return f"label({number(w, depth)})"


def text_method(w: Writer, depth: int) -> str:
    return f"label({number(w, depth)}).replace('<', {read(w, 'str', 0)}[:2])"


def text_joined(w: Writer, depth: int) -> str:
    return f"','.join({generator(w, depth, text_step)})"


def text_plain(w: Writer, depth: int) -> str:
    return f"({read(w, 'str', 0)}[:5] + str({number(w, depth)}))"


def tuple_display(w: Writer, depth: int) -> str:
    return f"({number(w, depth)}, {number(w, depth)})"


def tuple_step(w: Writer, depth: int) -> str:
    return f"{w.pick(('pair', 'freeze'))}({number(w, depth)}, {number(w, depth)})"


def tuple_divmod(w: Writer, depth: int) -> str:
    return f"divmod({number(w, depth)}, 3)"


def tuple_starred(w: Writer, depth: int) -> str:
    return f"pair(*{read(w, 'tuple', depth)})"


def set_display(w: Writer, depth: int) -> str:
    return f"{{{number(w, depth)} % 8, {number(w, depth)} % 8}}"


def set_comp(w: Writer, depth: int) -> str:
    return f"{{{clauses(w, depth, small)}}}"


def set_step(w: Writer, depth: int) -> str:
    return f"make_set({number(w, depth)})"


def set_merged(w: Writer, depth: int) -> str:
    return f"({read(w, 'set', depth)} | {{{number(w, depth)} % 8}})"


def rows_display(w: Writer, depth: int) -> str:
    return f"[[{number(w, depth)}], [{number(w, depth)}, {number(w, 0)}]]"


def rows_step(w: Writer, depth: int) -> str:
    return f"make_rows({number(w, depth)})"


def rows_comp(w: Writer, depth: int) -> str:
    return nested_listcomp(w, depth) if w.chance(50) else f"[list(r) for r in {read(w, 'rows', 0)}[:3]]"


def box_made(w: Writer, depth: int) -> str:
    return f"Box({number(w, depth)}, {value(w, 'list', depth)})"


def box_step(w: Writer, depth: int) -> str:
    return f"make_box({number(w, depth)})"


def bag_display(w: Writer, depth: int) -> str:
    return f"{{'a': {value(w, 'list', depth)}, 'b': []}}"


def bag_step(w: Writer, depth: int) -> str:
    return f"make_bag({number(w, depth)})"


# -- calls of workflows ----------------------------------------------------------------------------


def callable_workflow(w: Writer, result: str) -> Signature | None:
    """Return a workflow with that result which may be called here, or None."""
    usable = [s for s in w.signatures if s.result == result and not (s.hidden and w.loops)]
    if not usable or not w.steps or w.turns > 2:
        return None
    return usable[w.below(len(usable))]


def workflow_call(w: Writer, signature: Signature, depth: int, passed: list[str] | None = None) -> str:
    """Return a call of the workflow. Names whose objects it may keep or change go to ``passed``."""
    names: list[str] = []
    w.hidden = w.hidden or signature.hidden
    parts = [part for parameter in signature.parameters if (part := _argument(w, parameter, depth, names))]
    if passed is not None:
        passed += names
    return f"{signature.name}({', '.join(parts)})"


def _argument(w: Writer, parameter: tuple[str, str, str], depth: int, names: list[str]) -> str:
    name, kind, how = parameter
    if how == "*":
        return fill(w, w.pick(("", "<int 0>", "*<tuple? 0>")))
    if how == "**":
        return fill(w, w.pick(("", "k9=<int 0>", "**<dict? 0>")))
    if how == "=" and w.chance(40):
        return ""
    text = number(w, depth) if kind == "int" else _object(w, kind, depth, names)
    by_keyword = how in ("k=", "=")
    return f"{name}={text}" if by_keyword else text


def _object(w: Writer, kind: str, depth: int, names: list[str]) -> str:
    name = w.changeable(kind)
    if name is None or name in names or not w.scope.keep_apart([*names, name]):
        return value(w, kind, depth)
    names.append(name)
    return name


# -- the tables ------------------------------------------------------------------------------------

PLAIN_INT: list[Production] = [
    (3, literal),
    (8, number_name),
    (2, arithmetic),
    (1, remainder),
    (1, length),
    (1, builtin_sum),
    (1, risky_plain),
]
SHORT_INT: list[Production] = [
    (4, literal),
    (8, number_name),
    (2, call_inc),
    (1, call_plain_step),
    (2, risky_step),
]
INT: list[Production] = [
    (3, literal),
    (8, number_name),
    (8, call_inc),
    (4, call_add),
    (5, call_plain_step),
    (2, call_later),
    (1, call_root),
    (4, call_total),
    (2, call_measure),
    (5, risky_step),
    (2, risky_plain),
    (5, arithmetic),
    (2, remainder),
    (2, negative),
    (3, conditional),
    (3, short_circuit),
    (4, walrus),
    (2, length),
    (2, builtin_sum),
    (2, attribute),
    (2, tuple_item),
    (2, subscript),
    (2, subscript_by_step),
    (2, dict_get),
    (2, from_lambda),
    (2, text_length),
    (2, truth),
    (3, early_stop),
    (1, zipped),
    (3, consumed),
    (9, call_workflow),
]
TESTS: list[Production] = [
    (6, comparison),
    (3, chained),
    (5, step_test),
    (2, negation),
    (3, both),
    (2, membership),
    (2, is_none),
    (3, parity),
    (1, filled),
]
PLAIN_TESTS: list[Production] = [(4, parity), (3, comparison), (1, membership), (1, filled)]

TABLES: dict[str, list[Production]] = {
    "int": INT,
    "list": [
        (3, list_display),
        (5, listcomp),
        (3, list_starred),
        (2, list_slice),
        (1, list_copy),
        (4, list_step),
        (2, list_sorted),
        (1, list_joined),
        (1, list_mapped),
        (1, list_of_set),
        (1, list_of_zip),
        (2, unrolled_listcomp),
    ],
    "dict": [
        (3, dict_display),
        (3, dict_merged),
        (2, dict_keyed_by_step),
        (3, dict_comp),
        (3, dict_comp_items),
        (2, dict_step),
        (1, dict_zipped),
    ],
    "str": [
        (1, text_literal),
        (4, text_formatted),
        (3, text_step),
        (2, text_method),
        (2, text_joined),
        (1, text_plain),
    ],
    "tuple": [(3, tuple_display), (3, tuple_step), (1, tuple_divmod), (2, tuple_starred)],
    "set": [(3, set_display), (3, set_comp), (2, set_step), (1, set_merged)],
    "rows": [(3, rows_display), (2, rows_step), (3, rows_comp)],
    "box": [(3, box_made), (3, box_step)],
    "bag": [(3, bag_display), (3, bag_step)],
}
PLAIN: dict[str, list[Production]] = {
    "int": PLAIN_INT,
    "list": [(3, list_display), (2, list_slice_plain), (1, list_copy)],
    "dict": [(1, dict_display)],
    "str": [(2, text_literal), (1, text_plain)],
    "tuple": [(1, tuple_display)],
    "set": [(1, set_display)],
    "rows": [(1, rows_display)],
    "box": [(1, box_made)],
    "bag": [(1, bag_display)],
}
SHORT: dict[str, list[Production]] = {
    **PLAIN,
    "int": SHORT_INT,
    "list": [(2, list_display), (1, list_step)],
    "dict": [(1, dict_display), (1, dict_step)],
    "str": [(1, text_literal), (1, text_step)],
    "tuple": [(1, tuple_display), (1, tuple_step)],
    "box": [(1, box_made), (1, box_step)],
}

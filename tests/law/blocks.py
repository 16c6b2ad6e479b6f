"""Random compound statements around step calls: branches, loops, ``match`` and ``try``, nested."""

from __future__ import annotations

from .expressions import literal, number, read, test, value
from .pools import POOL_SLOTS, pool_name
from .scope import State
from .statements import SIMPLE, WIDER, assign, failure_text
from .writer import Production, Writer


def statement(w: Writer) -> bool:
    """Write one statement; True where nothing can follow it."""
    w.budget -= 1
    deep = w.depth >= 4 or w.turns > 2 or w.budget <= 0
    compound = not deep and w.chance(62 if w.depth < 3 else 25) and w.chance(70 if w.depth else 60)
    return bool(w.run(COMPOUND if compound else WIDER if w.wide else SIMPLE))


def block(w: Writer, size: int) -> bool:
    """Write an indented block of up to ``size`` statements; True where its end is not reached."""
    with w.indented(), w.having(depth=w.depth + 1):
        for _ in range(1 + w.below(size)):
            if statement(w):
                return True
    return False


def arm(w: Writer, head: str, size: int, before: State, ways: list[State]) -> None:
    """Write ``head`` with a block that starts from ``before``, and note how it leaves the names."""
    w.scope.restore(before)
    w.emit(head)
    if not block(w, size):
        ways.append(w.scope.save())


def branch(w: Writer) -> None:
    head = f"if {test(w, 3)}:"
    before, ways = w.scope.save(), []
    arm(w, head, 3, before, ways)
    for _ in range(w.below(2) if w.chance(60) else 0):
        w.scope.restore(before)
        condition = test(w, 2)
        before = w.scope.save()
        arm(w, f"elif {condition}:", 2, before, ways)
    if w.chance(60):
        arm(w, "else:", 3, before, ways)
    else:
        ways.append(before)
    w.scope.join(ways)


# -- loops -----------------------------------------------------------------------------------------


def loop(w: Writer) -> None:
    """A ``for`` around statements with step calls."""
    frozen = list(w.scope.frozen)
    head, targets = w.run(WIDER_LOOP_HEADS if w.wide else LOOP_HEADS)
    before = w.scope.save()
    for name, kind in targets:
        w.scope.bind(name, kind)
    w.emit(head)
    ways = [before]
    with w.having(loops=w.loops + 1, turns=w.turns + 1, in_loop_body=True, breaks=[]):
        if w.chance(35):
            collect(w, [name for name, kind in targets if kind == "int"])
        if not block(w, 3):
            ways.append(w.scope.save())
        broken = list(w.breaks)
    w.scope.frozen = frozen
    w.scope.join(ways)
    if w.chance(25):
        after: list[State] = []
        arm(w, "else:", 2, w.scope.save(), after)
        w.scope.join([*after, *broken])
    else:
        w.scope.join([w.scope.save(), *broken])


def collect(w: Writer, numbers: list[str]) -> None:
    """Collect what a step makes of the item: the loop that should run in parallel."""
    item = numbers[0] if numbers else "1"
    call = w.pick((f"inc({item})", f"slow({item})", f"add({item}, {literal(w, 0)})"))
    with w.indented():
        items, table = w.changeable("list"), w.changeable("dict")
        if items is not None and (table is None or w.chance(60)):
            added = f"{items}.append({call})" if items in w.scope.pinned else f"{items} += [{call}]"
            w.emit(w.pick((f"{items}.append({call})", added, f"{items}.extend([{call}, 0])")))
        elif table is not None:
            w.emit(f"{table}[{w.pick((f'label({item} % 4)', f'str({item})'))}] = {call}")
        else:
            w.emit(call)


def head_over_list(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    text = value(w, "list", 2) if w.chance(25) else f"{read(w, 'list', 1)}[:{2 + w.below(2)}]"
    name = w.target("int")
    return f"for {name} in {text}:", [(name, "int")]


def head_over_name(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    source = w.known("list")
    if source is None or w.turns:
        return head_over_range(w)
    w.scope.frozen.append(source)
    name = w.target("int")
    return f"for {name} in {source}:", [(name, "int")]


def head_over_range(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    text = f"range({number(w, 2)} % 3)" if w.chance(40) else f"range({1 + w.below(3)})"
    name = w.target("int")
    return f"for {name} in {text}:", [(name, "int")]


def head_over_pairs(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    form = w.pick(("enumerate({}[:3])", "zip({}[:3], (5, 1, 2))", "zip({}[:2], countdown(3))"))
    first, second = w.target("int"), w.target("int")
    return f"for {first}, {second} in {form.format(read(w, 'list', 1))}:", [(first, "int"), (second, "int")]


def head_over_starred(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    first, rest = w.target("int"), w.target("list")
    text = f"(({number(w, 1)}, {number(w, 1)}), ({number(w, 0)}, 2, 3))"
    return f"for {first}, *{rest} in {text}:", [(first, "int"), (rest, "list")]


def head_over_items(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    table = w.known("dict")
    key, name = w.target("str"), w.target("int")
    if table is None or w.turns:
        return f"for {key}, {name} in {value(w, 'dict', 1)}.items():", [(key, "str"), (name, "int")]
    w.scope.frozen.append(table)
    return f"for {key}, {name} in {table}.items():", [(key, "str"), (name, "int")]


def head_over_keys(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    key = w.target("str")
    return f"for {key} in {value(w, 'dict', 1)}:", [(key, "str")]


def head_over_set(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    name = w.target("int")
    return f"for {name} in {value(w, 'set', 2)}:", [(name, "int")]


def head_over_generator(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    name = w.target("int")
    if w.chance(30):
        w.tag("broken-iterable")
        return f"for {name} in broken_after([{number(w, 1)}, 2, 3], {w.below(4)}):", [(name, "int")]
    w.tag("generator-iterable")
    return f"for {name} in countdown({number(w, 1)}):", [(name, "int")]


def head_over_part(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    """A part of an object: the body may change the object, but for what the loop runs over."""
    kind = w.pick(("bag", "box"))
    if w.turns:
        return head_over_range(w)
    source = w.known(kind)
    if source is None:
        text, source = value(w, kind, 1), w.target(kind)
        w.emit(f"{source} = {text}")
        w.bind(source, kind)
    w.tag("over-part")
    if w.chance(60):
        w.scope.frozen.append(source)
    name = w.target("int")
    part = (
        f"{source}.items" if kind == "box" else f"{source}.get('a', [])" if w.chance(50) else f"{source}['a']"
    )
    return f"for {name} in {part}:", [(name, "int")]


def head_over_rows(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    """The items are objects of the container: a change of the target is a change of it."""
    rows, name = w.known("rows"), w.target("list")
    if rows is None or w.turns or not w.scope.share(rows, name):
        return head_over_list(w)
    w.tag("alias-loop-target")
    # A slice, so that the body may add to the rows themselves without going on for ever.
    return f"for {name} in {rows}[:3]:", [(name, "list")]


LOOP_HEADS: list[Production] = [
    (5, head_over_list),
    (5, head_over_range),
    (4, head_over_name),
    (4, head_over_pairs),
    (2, head_over_starred),
    (2, head_over_items),
    (1, head_over_keys),
    (3, head_over_set),
    (4, head_over_generator),
    (3, head_over_rows),
]
WIDER_LOOP_HEADS: list[Production] = [*LOOP_HEADS, (4, head_over_part)]


def change_of_rows(w: Writer) -> None:
    """``for row in rows: row.append(step())``: the outer container sees the change."""
    rows = w.changeable("rows")
    if rows is None:
        return assign(w)
    w.tag("alias-loop-target")
    row = w.serial("row")
    w.emit(f"for {row} in {rows}:")
    w.emit(
        f"    {row}.{w.pick(('append(inc(len({0})))', 'extend(make_list(len({0})))', 'insert(0, half(len({0})))')).format(row)}"
    )
    return None


def unrolled(w: Writer) -> None:
    """A loop over steps, or over a literal."""
    name = w.target("int")
    w.emit(f"{name} = {number(w, 2)}")
    w.bind(name, "int")
    w.tag("unrolled-loop")
    if w.chance(70):
        stage = w.serial("stage")
        w.emit(f"for {stage} in {w.pick(('(inc, half)', 'STAGES', '(quick, slow, inc)', '[half, inc]'))}:")
        w.emit(f"    {name} = {stage}({name})")
        if w.chance(30):
            w.emit(f"    if {name} > {4 + w.below(5)}:")
            w.emit(f"        {w.pick(('break', 'continue'))}")
    else:
        other = w.target("str")
        w.emit(f"for {other}, stage in (('p', inc), ('q', half)):")
        w.emit(f"    {name} += stage({name})")
        w.bind(other, "str")


def worklist(w: Writer) -> None:
    """A bounded loop over a list that it fills and empties itself."""
    w.tag("worklist")
    todo, done, item = w.serial("todo"), w.target("list"), w.serial("task")
    w.emit(f"{todo} = {value(w, 'list', 1)} + [{number(w, 1)}]")
    w.emit(f"{done} = []")
    w.bind(done, "list")
    w.emit(f"for _ in range({4 + w.below(3)}):")
    w.emit(f"    if not {todo}:")
    w.emit("        break")
    w.emit(f"    {item} = {todo}.pop({w.pick(('', '0'))})")
    w.emit(f"    {done}.append(inc({item}))")
    w.emit(f"    if {item} > {1 + w.below(3)}:")
    w.emit(
        f"        {todo}.{w.pick((f'append(half({item}))', f'extend([half({item}), 0])', f'insert(0, half({item}))'))}"
    )


def search(w: Writer) -> None:
    """A loop that looks for something, with ``break`` and ``else``."""
    found, item = w.target("int"), w.target("int")
    if found == item:
        return loop(w)
    w.emit(f"for {item} in {read(w, 'list', 1)}[:4]:")
    w.emit(f"    if {w.pick(('is_even', 'half'))}({item}):")
    w.emit(f"        {found} = inc({item}, by={literal(w, 0)})")
    w.emit("        break")
    w.emit("else:")
    w.emit(f"    {found} = {number(w, 2)}")
    w.scope.bind(item, "int", surely=False)
    return w.bind(found, "int")


# -- match -----------------------------------------------------------------------------------------


def match(w: Writer) -> None:
    kind = w.pick(("int", "int", "list", "dict", "box", "tuple"))
    w.emit(f"match {read(w, kind, 2) if w.chance(40) else value(w, kind, 2)}:")
    before, ways = w.scope.save(), []
    with w.indented():
        for _ in range(1 + w.below(2)):
            before = case(w, kind, before, ways)
        if w.chance(60):
            arm(w, "case _:", 2, before, ways)
        else:
            ways.append(before)
    w.scope.join(ways)


def case(w: Writer, kind: str, before: State, ways: list[State]) -> State:
    """Write a case and return how the names may stand where it does not match: captures may be bound."""
    pattern, captures = w.run(PATTERNS[kind])
    w.scope.restore(before)
    for name, of_kind in captures:
        w.scope.bind(name, of_kind)
    guard = f" if {test(w, 2)}" if w.chance(40) else ""
    arm(w, f"case {pattern}{guard}:", 2, w.scope.save(), ways)
    w.scope.restore(before)
    for name, of_kind in captures:
        w.scope.bind(name, of_kind, surely=False)
    return w.scope.save()


def number_pattern(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    name = w.target("int")
    choice = w.below(5)
    if choice == 0:
        return f"{w.below(4)} | {4 + w.below(3)} as {name}", [(name, "int")]
    if choice == 1:
        return f"int({name})", [(name, "int")]
    if choice == 2:
        return f"int() as {name}", [(name, "int")]
    return w.pick(("0 | 1", "2 | 3 | 4", "5")), []


def list_pattern(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    first, rest = w.target("int"), w.target("list")
    choices: list[tuple[str, list[tuple[str, str]]]] = [
        (f"[{first}, *{rest}]", [(first, "int"), (rest, "list")]),
        ("[]", []),
        (f"[{first}]", [(first, "int")]),
        (f"[_, {first}, *_]", [(first, "int")]),
    ]
    return choices[w.below(4)]


def tuple_pattern(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    first, second = w.target("int"), w.target("int")
    if first == second or w.chance(30):
        return f"({w.below(3)}, {first})", [(first, "int")]
    return f"({first}, {second})", [(first, "int"), (second, "int")]


def dict_pattern(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    first, rest = w.target("int"), w.target("dict")
    if w.chance(40):
        return f"{{'a': {first}, **{rest}}}", [(first, "int"), (rest, "dict")]
    return f"{{{w.pick(('a', 'k'))!r}: int({first})}}", [(first, "int")]


def box_pattern(w: Writer) -> tuple[str, list[tuple[str, str]]]:
    first = w.target("int")
    if w.chance(50):
        return f"Box(n={first})", [(first, "int")]
    return f"Box({first}, [_, *_])", [(first, "int")]


PATTERNS: dict[str, list[Production]] = {
    "int": [(1, number_pattern)],
    "list": [(1, list_pattern)],
    "tuple": [(1, tuple_pattern)],
    "dict": [(1, dict_pattern)],
    "box": [(1, box_pattern)],
}


# -- failure ---------------------------------------------------------------------------------------

CATCHES = (
    "ValueError",
    "Clash",
    "LookupError",
    "(ValueError, Clash)",
    "Exception",
    "Exception",
    "(Missing, ZeroDivisionError)",
    "ArithmeticError",
    "NameError",
    "Halt",
)


def attempt(w: Writer) -> None:
    """``try`` with all its parts; what fails inside is likelier to be caught."""
    before, ways = w.scope.save(), []
    w.emit("try:")
    with w.having(risk=18.0):
        ended = block(w, 3)
        if not ended and w.chance(45):
            with w.indented():
                likely_failure(w)
    after_body = w.scope.save()
    has_handlers, has_final = not w.chance(20), False
    if has_handlers:
        handlers(w, before, after_body, ways)
        w.scope.restore(after_body)
        if not ended and w.chance(35):
            arm(w, "else:", 2, after_body, ways)
        elif not ended:
            ways.append(after_body)
        has_final = w.chance(40)
    else:
        ways += [] if ended else [after_body]
        has_final = True
    w.scope.join(ways or [before])
    if has_final:
        final(w, before, after_body)


def likely_failure(w: Writer) -> None:
    name = w.target("int")
    kind = w.pick(("value", "clash", "missing", "zero"))
    w.emit(f"{name} = fail_if({number(w, 1)}, {1 + w.below(2)}, kind={kind!r})")
    w.bind(name, "int")


def handlers(w: Writer, before: State, after_body: State, ways: list[State]) -> None:
    w.scope.join([before, after_body])
    start = w.scope.save()
    for _ in range(1 + w.below(2)):
        handler(w, f"except {w.pick(CATCHES)}", start, ways)
    if w.chance(12):
        handler(w, "except", start, ways)


def handler(w: Writer, head: str, start: State, ways: list[State]) -> None:
    error = f"e{len(w.errors)}" if head != "except" and w.chance(65) else ""
    w.scope.restore(start)
    w.emit(f"{head} as {error}:" if error else f"{head}:")
    with w.having(errors=[*w.errors, error] if error else w.errors):
        if error:
            with w.indented():
                look_at_error(w, error)
        ended = block(w, 2)
        if not ended and w.chance(18):
            with w.indented():
                w.emit("raise" if not error or w.chance(40) else f"raise {failure_text(w)} from {error}")
            ended = True
    if not ended:
        ways.append(w.scope.save())


def look_at_error(w: Writer, error: str) -> None:
    name = w.target("str")
    forms = (
        f"type({error}).__name__",
        f"f'{{type({error}).__name__}} {{{error}.args}}'",
        f"label(len({error}.args))",
        f"str({error})",
        "str(sys.exc_info()[0])",
        f"repr(type({error}.__context__))",
    )
    w.emit(f"{name} = {w.pick(forms)}")
    w.bind(name, "str")


def final(w: Writer, before: State, after_body: State) -> None:
    after = w.scope.save()
    w.scope.join([before, after_body, after])
    w.emit("finally:")
    with w.having(in_loop_body=w.in_loop_body and w.chance(20)):
        block(w, 2)
    bound = w.scope.bound | (after[0] - (before[0] - w.scope.bound))
    w.scope.restore((frozenset(bound), (after[1] | w.scope.maybe) - bound))


# -- limits ----------------------------------------------------------------------------------------


def limited(w: Writer) -> bool:
    """A block that holds slots. Limits nest in one order: by how many are held already, callers' first."""
    count = 2 if w.chance(25) else 1
    heads = [lock(w, w.held + place) for place in range(count)]
    w.emit(f"with {', '.join(heads)}:")
    with w.having(held=w.held + count):
        return block(w, 3)


def lock(w: Writer, place: int) -> str:
    if w.chance(40):
        return f"mutex('{w.locks}-{place}')"
    return f"limit('{pool_name(w.locks, place)}', slots={1 + w.below(POOL_SLOTS)})"


COMPOUND: list[Production] = [
    (10, branch),
    (13, loop),
    (10, attempt),
    (5, match),
    (2, unrolled),
    (2, worklist),
    (2, search),
    (2, change_of_rows),
    (6, limited),
]

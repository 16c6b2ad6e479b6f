"""Random simple statements: binding, sharing, change in place, raising, calls for their effect.

A production writes at least one line and returns True where nothing can follow it in its block.
"""

from __future__ import annotations

from .expressions import callable_workflow, fill, number, read, test, value, workflow_call
from .scope import MUTABLE
from .writer import Production, Writer

KIND_WEIGHTS: list[tuple[int, str]] = [
    (7, "int"),
    (6, "list"),
    (3, "dict"),
    (2, "str"),
    (2, "tuple"),
    (2, "rows"),
    (2, "box"),
    (2, "bag"),
    (2, "set"),
]
KIND_LIST = [kind for weight, kind in KIND_WEIGHTS for _ in range(weight)]
FAILURES = (
    "Clash(<int 1>, <int 1>)",
    "Missing(<int 1>)",
    "ValueError(<int 1>)",
    "KeyError('k', <int 1>)",
    "ZeroDivisionError",
    "Clash(<int 0>, right=<int 1>)",
)


def assign(w: Writer) -> None:
    kind = w.pick(KIND_LIST)
    text = value(w, kind, 3)
    name = w.target(kind)
    w.emit(f"{name}{': object' if w.chance(6) else ''} = {text}")
    w.bind(name, kind)


def holder(w: Writer, kind: str) -> str | None:
    """Return a name of this kind whose object may be changed, bound here if there was none."""
    if w.known(kind) is None:
        text, name = value(w, kind, 1), w.target(kind)
        w.emit(f"{name} = {text}")
        w.bind(name, kind)
    return w.changeable(kind)


def assign_number(w: Writer) -> None:
    text = number(w, 3)
    name = w.target("int")
    w.emit(f"{name} = {text}")
    w.bind(name, "int")


# -- sharing ---------------------------------------------------------------------------------------


def alias_chain(w: Writer) -> None:
    kind = w.pick(MUTABLE)
    text, first, second = value(w, kind, 1), w.target(kind), w.target(kind)
    if first == second or not w.scope.share(first, second):
        return assign(w)
    w.tag("alias-chain")
    w.emit(f"{first} = {second} = {text}")
    w.bind(first, kind)
    return w.bind(second, kind)


def bind_shared(w: Writer, kind: str, text: str, sources: list[str], tag: str) -> None:
    """Write ``name = text`` where the value may be that of ``sources``."""
    name = w.target(kind)
    if name in sources or not all(w.scope.share(name, source) for source in sources):
        return assign(w)
    w.tag(tag)
    w.emit(f"{name} = {text}")
    return w.bind(name, kind)


def alias_name(w: Writer) -> None:
    kind = w.pick(("list", "dict", "box", "rows", "bag"))
    source = w.known(kind)
    if source is None:
        return assign(w)
    text = f"same({source})" if w.chance(20) else source
    return bind_shared(w, kind, text, [source], "alias-name")


def alias_chosen(w: Writer) -> None:
    kind = w.pick(("list", "dict", "box"))
    first, second = w.known(kind), w.known(kind)
    if first is None or second is None:
        return assign(w)
    text = f"{first} if {test(w, 2)} else {second}" if w.chance(60) else f"{first} or {second}"
    return bind_shared(w, kind, text, [first, second], "alias-chosen")


def alias_item(w: Writer) -> None:
    """Name something that a container holds."""
    kind = w.pick(("rows", "bag", "box"))
    source = holder(w, kind)
    if source is None:
        return assign(w)
    forms = {"rows": "{0}[0] if {0} else []", "bag": "{0}.get('a', [])", "box": "{0}.items"}
    return bind_shared(w, "list", forms[kind].format(source), [source], "alias-item")


def alias_setdefault(w: Writer) -> None:
    source = holder(w, "bag")
    if source is None:
        return assign(w)
    return bind_shared(
        w, "list", f"{source}.setdefault({w.pick(('a', 'c'))!r}, [])", [source], "alias-setdefault"
    )


def alias_put(w: Writer) -> None:
    """Put a named list into a container: both now reach it."""
    kind = w.pick(("rows", "bag", "box"))
    container, held = holder(w, kind), w.known("list")
    if container is None or held is None or not w.scope.share(container, held):
        return assign(w)
    w.tag("alias-put")
    forms = {"rows": "{0}.append({1})", "bag": "{0}['b'] = {1}", "box": "{0}.items = {1}"}
    w.emit(forms[kind].format(container, held))
    return None


def alias_twins(w: Writer) -> None:
    first, second = w.target("list"), w.target("list")
    if first == second or not w.scope.share(first, second):
        return assign(w)
    w.tag("alias-from-step")
    w.emit(f"{first}, {second} = twins({number(w, 1)})")
    w.bind(first, "list")
    return w.bind(second, "list")


def equal_apart(w: Writer) -> None:
    """Two objects that are equal and not one: a change of the first leaves the second as it was."""
    first, second, count = w.target("list"), w.target("list"), w.target("int")
    if first == second or not w.scope.change(first):
        return assign(w)
    w.tag("equal-apart")
    text = w.pick(("make_list({})", "[inc({})]", "shifted([{}])")).format(w.known("int") or 3)
    w.emit(f"{first} = {text}")
    w.emit(f"{second} = {text}")
    w.bind(first, "list")
    w.bind(second, "list")
    w.emit(f"{first}.{w.pick((f'extend({second})', f'append(len({second}))'))}")
    w.emit(f"{count} = len({second})")
    return w.bind(count, "int")


def alias_cycle(w: Writer) -> None:
    """Two containers that hold each other, changed through either."""
    w.tag("alias-cycle")
    one, other, count = w.serial("ring"), w.serial("knot"), w.target("int")
    w.emit(f"{one} = {{'n': {number(w, 1)}}}")
    w.emit(f"{other} = [{one}, {number(w, 1)}]")
    w.emit(f"{one}['other'] = {other}")
    w.emit(f"{other}.append({number(w, 2)})")
    w.emit(f"{count} = len({one}['other']) + inc({other}[0]['n'])")
    w.bind(count, "int")


def swap(w: Writer) -> None:
    kind = w.pick(("int", "int", "list", "dict"))
    names = [n for n in w.scope.names(kind) if n not in w.scope.pinned and n not in w.scope.frozen]
    if len(names) < 2 or (kind != "int" and not w.scope.share(names[0], names[1])):
        return assign_number(w)
    first, second = names[0], names[1]
    if kind == "int" and w.chance(40):
        w.emit(f"{first}, {second} = {second}, inc({first})")
    else:
        w.emit(f"{first}, {second} = {second}, {first}")
    return None


# -- targets ---------------------------------------------------------------------------------------


def assign_pair(w: Writer) -> None:
    text = value(w, "tuple", 3) if not w.chance(w.risk) else value(w, "list", 2)
    first, second = w.target("int"), w.target("int")
    form = w.pick(("{}, {}", "[{}, {}]", "({}, {})"))
    w.emit(f"{form.format(first, second)} = {text}")
    w.bind(first, "int")
    w.bind(second, "int")


def assign_starred(w: Writer) -> None:
    text = f"[{number(w, 2)}, *{read(w, 'list', 2)}[:3], {number(w, 1)}]"
    first, rest = w.target("int"), w.target("list")
    if w.chance(50):
        w.emit(f"{first}, *{rest} = {text}")
    else:
        w.emit(f"*{rest}, {first} = {text}")
    w.bind(first, "int")
    w.bind(rest, "list")


def assign_nested(w: Writer) -> None:
    text = f"{number(w, 2)}, ({number(w, 2)}, {number(w, 1)}, {number(w, 1)})"
    first, second, rest = w.target("int"), w.target("int"), w.target("list")
    w.emit(f"{first}, ({second}, *{rest}) = {text}")
    for name, kind in ((first, "int"), (second, "int"), (rest, "list")):
        w.bind(name, kind)


def assign_mixed_targets(w: Writer) -> None:
    table = w.changeable("dict")
    if table is None:
        return assign_pair(w)
    name = w.target("int")
    w.emit(f"{table}['k'], {name} = {value(w, 'tuple', 2)}")
    return w.bind(name, "int")


def assign_item(w: Writer) -> None:
    table = w.changeable("dict")
    if table is None:
        return assign(w)
    key = f"label({number(w, 1)} % 5)" if w.chance(40) else w.pick(("'a'", "'b'", "'k'"))
    w.emit(f"{table}[{key}] = {number(w, 3)}")
    return None


def assign_list_item(w: Writer) -> None:
    items = w.changeable("list")
    if items is None:
        return assign(w)
    if w.chance(50):
        w.emit(f"{items}[{w.below(2)}:{2 + w.below(2)}] = [{number(w, 2)}, {number(w, 1)}]")
    elif w.chance(w.risk * 3):
        w.emit(f"{items}[inc({number(w, 0)}) % 4] = {number(w, 2)}")
    else:
        w.emit(f"{items}[:] = {value(w, 'list', 2)}")
    return None


def assign_attribute(w: Writer) -> None:
    box = holder(w, "box")
    if box is None:
        return assign(w)
    w.emit(f"{box}.n = {number(w, 3)}")
    return None


def augment_name(w: Writer) -> None:
    kind = w.pick(("int", "int", "list", "str", "dict", "set"))
    doubtful = w.scope.doubtful(kind)
    if doubtful and kind == "int" and w.chance(w.risk * 1.5):
        # The load comes first: an unbound name fails before the step can.
        w.emit(fill(w, f"{w.pick(doubtful)} += fail_if(<int 1>, {1 + w.below(2)})"))
        return None
    name = w.changeable(kind)
    if name is None or name in w.scope.pinned:
        return assign_number(w)
    if kind == "int" and w.chance(12):
        w.emit(fill(w, f"{name} += ({name} := <int 2>)"))
        return w.bind(name, kind)
    forms = {
        "int": w.pick(("+= <int 3>", "+= <int 2>", "-= <int 2>")),
        "list": "+= <list 2>",
        "str": "+= label(<int 1>)",
        "dict": "|= <dict 1>",
        "set": "|= <set 2>",
    }
    w.emit(fill(w, f"{name} {forms[kind]}"))
    return w.bind(name, kind)


def augment_item(w: Writer) -> None:
    table = w.changeable("dict")
    if table is None:
        return augment_name(w)
    if w.chance(70) and not w.chance(w.risk * 3):
        w.emit(f"{table}.setdefault('k', {number(w, 1)})")
        w.emit(f"{table}['k'] += {number(w, 3)}")
    elif w.chance(40):
        w.emit(f"{table}[label({number(w, 1)} % 3)] = {number(w, 1)}")
    else:
        w.emit(f"{table}['a'] {w.pick(('+=', '-='))} {number(w, 3)}")
    return None


def augment_inside(w: Writer) -> None:
    """Augment an attribute, or an item of an item."""
    kind = w.pick(("box", "box", "bag", "rows"))
    outer = holder(w, kind)
    if outer is None:
        return augment_name(w)
    if kind == "box":
        w.emit(f"{outer}.n += {number(w, 3)}" if w.chance(70) else f"{outer}.items += [{number(w, 2)}]")
    elif kind == "bag":
        w.emit(f"{outer}['a'] += [{number(w, 2)}]")
    else:
        w.emit(f"{outer}[0] += [{number(w, 2)}]")
    return None


def delete_name(w: Writer) -> None:
    names = [n for n in sorted(w.scope.bound) if n not in w.scope.pinned and n not in w.scope.frozen]
    if len(names) < 5 or (w.loops and w.chance(70)):
        return assign(w)
    name = w.pick(names)
    w.emit(f"del {name}")
    return w.scope.unbind(name)


def look_at_deleted(w: Writer) -> None:
    """Delete a name, here or on one path, and let a step look whether it is bound."""
    name, result = w.serial("gone"), w.target("str")
    w.emit(f"{name} = {number(w, 1)}")
    if w.chance(50):
        w.emit(f"if {test(w, 1)}:")
        w.emit(f"    del {name}")
    else:
        w.emit(f"del {name}")
    w.emit("try:")
    w.emit(f"    {result} = label({name})")
    w.emit("except UnboundLocalError:")
    w.emit(f"    {result} = 'deleted'")
    w.bind(result, "str")


def delete_item(w: Writer) -> None:
    table, items = w.changeable("dict"), w.changeable("list")
    if items is not None and w.chance(40):
        w.emit(f"del {items}[:{1 + w.below(2)}]")
    elif table is not None:
        if w.chance(w.risk * 3):
            w.emit(f"del {table}['a']")
        else:
            w.emit(f"if 'a' in {table}:")
            w.emit("    del " + table + "['a']")
    else:
        return assign(w)
    return None


# -- change in place -------------------------------------------------------------------------------


def change_list(w: Writer) -> None:
    name = w.changeable("list")
    if name is None:
        return assign(w)
    w.tag("method-change")
    forms = (
        "append(<int 3>)",
        "extend(<list 2>)",
        f"insert({w.below(2)}, <int 2>)",
        "append(<int 2>)",
        "reverse()",
        "sort()",
    )
    w.emit(fill(w, f"{name}.{w.pick(forms)}"))
    return None


def change_other(w: Writer) -> None:
    kind = w.pick(("dict", "bag", "box", "rows", "set"))
    name = w.changeable(kind)
    if name is None:
        return change_list(w)
    w.tag("method-change")
    w.emit(fill(w, f"{name}{w.pick(CHANGES[kind])}"))
    return None


CHANGES = {
    "dict": (".update(<dict 2>)", ".update(k=<int 2>)", ".pop('a', None)"),
    "bag": (".setdefault(label(<int 1> % 3), []).append(<int 2>)", ".get('a', []).append(<int 1>)"),
    "box": (".items.append(<int 2>)", ".items.extend(<list 1>)"),
    "rows": (".append([<int 2>])", "[:1].append([])", ".insert(0, <list 1>)"),
    "set": (".add(<int 2> % 8)", ".discard(<int 2> % 8)"),
}


def change_through_helper(w: Writer) -> None:
    """A change that the compiler cannot see: of any name outside loops, of a new object inside them."""
    if not w.may_hide_here():
        return change_new_through_helper(w)
    kind = w.pick(("list", "list", "dict", "box"))
    name, name_of_count = w.changeable(kind), w.target("int")
    if name is None:
        return change_new_through_helper(w)
    w.tag("helper-change")
    w.hidden = True
    forms = {
        "list": (
            f"push({name}, <int 2>)",
            f"{name_of_count} = push({name}, <int 2>)",
            f"refill({name}, <list? 1>)",
        ),
        "dict": (f"bump({name}, 'k', by=<int 2>)", f"bump({name}, label(<int 1> % 3))"),
        "box": (f"{name}.bump()", f"{name}.bump(<int 2>)"),
    }
    text = fill(w, w.pick(forms[kind]))
    w.emit(text)
    if text.startswith(f"{name_of_count} ="):
        w.bind(name_of_count, "int")
    return None


def change_new_through_helper(w: Writer) -> None:
    w.tag("helper-change")
    name, count = w.serial("fresh"), w.target("int")
    w.emit(f"{name} = {value(w, 'list', 2)}")
    w.emit(f"push({name}, {number(w, 2)})")
    w.emit(f"{count} = measure({name})")
    w.bind(count, "int")


def arguments_that_change(w: Writer) -> None:
    items = w.changeable("list")
    if items is None or items in w.scope.pinned:
        return assign(w)
    w.tag("arguments-that-change")
    name = w.target("int")
    w.emit(f"{items} += [{number(w, 1)}, {w.below(5)}]")
    w.emit(
        f"{name} = {w.pick(('inc({0}.pop(0), by={0}.pop())', 'add({0}.pop(), {0}.pop())', '{0}.pop() - inc({0}.pop(0))')).format(items)}"
    )
    return w.bind(name, "int")


# -- effects, failures, ends -----------------------------------------------------------------------


def effect(w: Writer) -> None:
    call = fill(w, w.pick(("slow(<int 2>)", "nothing(<list? 1>)", "inc(<int 2>)")))
    w.emit(call if w.chance(70) else f"_ = {call}")


def note(w: Writer) -> None:
    w.emit("pass")


def assertion(w: Writer) -> None:
    if w.chance(w.risk * 4):
        w.emit(f"assert {test(w, 2)}, label({number(w, 1)})")
        return
    left = atom_or_step(w)
    w.emit(f"assert {left} != {20 + w.below(50)}, f'bad {{{w.known('int') or 3}}}'")


def atom_or_step(w: Writer) -> str:
    return f"inc({w.known('int') or 1})" if w.steps and w.chance(50) else w.known("int") or "1"


def failure_text(w: Writer) -> str:
    return fill(w, w.pick(FAILURES))


def guarded_raise(w: Writer) -> None:
    w.emit(f"if {number(w, 2)} % {5 + w.below(4)} == 0:")
    w.emit(f"    raise {failure_text(w)}")


def raise_now(w: Writer) -> bool:
    """Raise, at the end of a block; in a handler also again, or from what is handled."""
    if not w.depth or (w.risk < 10 and not w.errors and w.chance(60)):
        assign(w)
        return False
    if w.errors and w.chance(70):
        error = w.pick(w.errors) if w.chance(40) else w.errors[-1]
        failure = w.pick(FAILURES)
        forms = (
            "raise",
            f"raise {failure} from {error}",
            f"raise {failure} from None",
            f"raise {failure}",
            f"raise {error}",
        )
        w.emit(fill(w, w.pick(forms)))
    else:
        w.emit(f"raise {failure_text(w)}")
    return True


def leave_loop(w: Writer) -> bool:
    if not w.in_loop_body or not w.depth:
        assign(w)
        return False
    word = w.pick(("break", "continue", "continue"))
    if w.chance(70):
        w.emit(f"if {test(w, 2)}:")
        if word == "break":
            w.breaks.append(w.scope.save())
        w.emit(f"    {word}")
        return False
    if word == "break":
        w.breaks.append(w.scope.save())
    w.emit(word)
    return True


def return_value(w: Writer) -> str:
    name = w.known(w.result) if w.chance(50) else None
    if w.result == "any":
        return f"({number(w, 2)}, {read(w, 'list', 1)})"
    return name or value(w, w.result, 2)


def early_return(w: Writer) -> bool:
    if w.depth and w.chance(25):
        w.emit(f"return {return_value(w)}")
        return True
    w.emit(f"if {number(w, 2)} % {4 + w.below(4)} == 1:")
    with w.having(doubtful=True):
        w.emit(f"    return {return_value(w)}")
    return False


def bind_from_workflow(w: Writer) -> None:
    """Call a workflow whose result may be what it was given."""
    kind = w.pick(("list", "dict", "int", "tuple"))
    signature = callable_workflow(w, kind)
    if signature is None:
        return assign(w)
    passed: list[str] = []
    text = workflow_call(w, signature, 2, passed)
    name = w.target(kind)
    if kind in MUTABLE and not (name not in passed and all(w.scope.share(name, other) for other in passed)):
        w.emit(f"{w.target('int')} = len({text})")
        return None
    w.emit(f"{name} = {text}")
    return w.bind(name, kind)


# -- functions inside ------------------------------------------------------------------------------


def closure(w: Writer) -> None:
    """A function that captures a name, which is never bound again, and is called later."""
    captured = w.known("int")
    if w.turns or captured is None or captured in w.scope.maybe:
        return lambda_with_default(w)
    w.scope.pinned.add(captured)
    name, result = w.serial("fn"), w.target("int")
    if w.chance(50):
        w.emit(f"{name} = lambda v, *, k={number(w, 1)}: v + {captured} - k")
    else:
        w.emit(f"def {name}(v, k={w.below(4)}):")
        w.emit(f"    return (v * k + {captured}) % 31")
    w.emit(f"{result} = {name}({number(w, 2)})")
    w.bind(result, "int")
    w.bind(name, "fn")
    return None


def lambda_with_default(w: Writer) -> None:
    name, result = w.serial("fn"), w.target("int")
    w.emit(f"{name} = lambda v, k={number(w, 1)}: v - k")
    w.emit(f"{result} = {name}({number(w, 2)})")
    w.bind(result, "int")


def call_closure(w: Writer) -> None:
    name = w.known("fn")
    if name is None or name in w.scope.maybe:
        return closure(w)
    result = w.target("int")
    w.emit(f"{result} = {name}({number(w, 2)})")
    return w.bind(result, "int")


def changing_closure(w: Writer) -> None:
    """A function that changes what it captures."""
    items = w.changeable("list")
    if w.turns or items is None or items in w.scope.maybe:
        return closure(w)
    w.tag("closure-that-changes")
    w.scope.pinned.add(items)
    name = w.serial("keep")
    w.emit(f"def {name}(v):")
    w.emit(f"    {items}.append(v)")
    w.emit(f"    return len({items})")
    w.emit(f"{name}({number(w, 2)})")
    result = w.target("int")
    w.emit(f"{result} = inc({number(w, 2)}) + {name}({number(w, 1)})")
    return w.bind(result, "int")


# -- plain Python blocks ---------------------------------------------------------------------------


def plain_while(w: Writer) -> None:
    counter, gathered = w.serial("left"), w.serial("seen")
    w.emit(f"{counter}, {gathered} = {number(w, 1)} % 5, []")
    w.emit(f"while {counter} > 0:")
    w.emit(f"    {counter} -= {1 + w.below(2)}")
    w.emit(f"    {gathered}.append({counter} * {1 + w.below(4)})")
    if w.chance(50):
        w.emit("else:")
        w.emit(f"    {gathered}.append(-1)")
    name = w.target("list")
    w.emit(f"{name} = list({gathered})")
    w.bind(name, "list")


def plain_for(w: Writer) -> None:
    name, item = w.target("int"), w.serial("it")
    w.emit(f"{name} = {w.below(4)}")
    w.bind(name, "int")
    w.emit(f"for {item} in {read(w, 'list', 1)}[:4]:")
    w.emit(f"    if {item} % 3 == {w.below(3)}:")
    w.emit(f"        {w.pick(('continue', 'break'))}")
    w.emit(f"    {name} = ({name} + {item}) % 89")
    if w.chance(40):
        w.emit("else:")
        w.emit(f"    {name} += 1")


def plain_with(w: Writer) -> None:
    name = w.target("int")
    w.emit("with suppress(LookupError, ZeroDivisionError):")
    with w.having(steps=False):
        w.emit(f"    {name} = {read(w, 'dict', 1)}['k'] + {number(w, 1)}")
    w.scope.bind(name, "int", surely=False)


def local_import(w: Writer) -> None:
    name = w.target("int")
    w.emit("import math")
    w.emit(f"{name} = math.gcd({number(w, 2)}, {number(w, 1)})")
    w.bind(name, "int")


def read_if_bound(w: Writer) -> None:
    """Look whether a name that is bound on some paths only is bound."""
    doubtful = sorted(name for name in w.scope.maybe if w.scope.kinds[name] != "fn")
    if not doubtful:
        return assign(w)
    w.tag("bound-on-some-paths")
    name, result = w.pick(doubtful), w.target("str")
    w.emit("try:")
    w.emit(
        f"    {result} = repr({name})[:12]"
        if w.scope.kinds[name] != "set"
        else f"    {result} = repr(sorted({name}))"
    )
    w.emit("except NameError as unbound:")
    w.emit(f"    {result} = type(unbound).__name__")
    return w.bind(result, "str")


def error_name_goes(w: Writer) -> None:
    """After a handler the name of its exception is unbound, even if it was bound before."""
    w.tag("except-unbinds")
    result = w.target("str")
    w.emit(f"error = {number(w, 1)}")
    w.emit("try:")
    w.emit(f"    error = fail_if({number(w, 1)}, {1 + w.below(3)})")
    w.emit("except ValueError as error:")
    w.emit(f"    {result} = str(error)")
    w.emit("try:")
    w.emit(f"    {result} = str(error)")
    w.emit("except UnboundLocalError:")
    w.emit(f"    {result} = 'gone'")
    w.bind(result, "str")


def held_by_error(w: Writer) -> None:
    """An exception holds an object of the workflow: a handler's change of it is a change of the name."""
    items = holder(w, "list")
    if items is None:
        return assign(w)
    w.tag("held-by-error")
    error, name = w.serial("held"), w.target("int")
    w.emit("try:")
    w.emit(f"    {name} = {atom_or_step(w)}")
    w.emit(
        "    "
        + fill(
            w,
            w.pick(
                (
                    f"withhold({items}, <int 1>)",
                    f"withhold({items}, 2 * <int 1>)",
                    f"raise Clash({items}, <int 1>)",
                    f"raise KeyError({items})",
                )
            ),
        )
    )
    w.emit(f"except (Clash, KeyError) as {error}:")
    w.emit(f"    held_in({error}).append({atom_or_step(w)})")
    if w.chance(40):
        w.emit("finally:")
        w.emit(f"    {items}.append({atom_or_step(w)})")
    w.bind(name, "int")
    return None


def begun_generator(w: Writer) -> None:
    """A generator before a step: what it runs over is evaluated first, and fails first."""
    w.tag("begun-generator")
    with w.having(binds=False):
        source = fill(
            w,
            w.pick(
                (
                    "countdown(<int 1>)",
                    "broken_after([1, 2, 3], <int 1> % 4)",
                    "<dict? 1>.values()",
                    "<list? 1>[:2]",
                    "<bag? 1>['a']",
                    "iter(<list? 1>)",
                )
            ),
        )
        second = fill(w, f"[{atom_or_step(w)}, fail_if(<int 1>, {3 + w.below(4)})]")
    name = w.target("list")
    w.emit(f"{name} = [a + b for a, b in zip((k + 1 for k in {source}), {second})]")
    w.bind(name, "list")


SIMPLE: list[Production] = [
    (14, assign),
    (8, assign_number),
    (3, alias_chain),
    (4, alias_name),
    (2, alias_chosen),
    (3, alias_item),
    (2, alias_setdefault),
    (3, alias_put),
    (2, alias_twins),
    (1, alias_cycle),
    (2, equal_apart),
    (3, swap),
    (3, assign_pair),
    (3, assign_starred),
    (2, assign_nested),
    (2, assign_mixed_targets),
    (4, assign_item),
    (3, assign_list_item),
    (3, assign_attribute),
    (7, augment_name),
    (5, augment_item),
    (4, augment_inside),
    (2, delete_name),
    (2, look_at_deleted),
    (2, delete_item),
    (8, change_list),
    (5, change_other),
    (5, change_through_helper),
    (3, arguments_that_change),
    (4, effect),
    (1, note),
    (3, assertion),
    (2, guarded_raise),
    (3, raise_now),
    (9, leave_loop),
    (3, early_return),
    (10, bind_from_workflow),
    (2, closure),
    (2, call_closure),
    (2, changing_closure),
    (2, plain_while),
    (2, plain_for),
    (2, plain_with),
    (1, local_import),
    (3, read_if_bound),
    (1, error_name_goes),
]
WIDER: list[Production] = [*SIMPLE, (3, held_by_error), (2, begun_generator)]

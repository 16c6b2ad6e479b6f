"""Loops whose body may change what they run over: Python would see the change, a loop that reads its items first not.

Where the text says so, the loop is refused. Where it may be so, through another name or part of one object, the
glue that may do it looks at what the loop runs over before and after, as it runs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Set
from typing import Final

from weft.lang.alias import Aliases
from weft.lang.draft import AnyDraft, DGlue, DLoop, DMove, Scope, blocks_of, glue_of, walk
from weft.lang.heap import NONE, union
from weft.lang.making import assign, constant, name_of, rebuild, runtime_call
from weft.lang.purity import MUTATORS, RESIZERS, steps_through
from weft.lang.syntax import nodes_of, placed
from weft.lang.usage import binds_of, envs_of

_PATH: Final = (ast.Attribute, ast.Subscript)


class Iterated:
    """Which glue changes, or may change, what a loop around it runs over.

    State: ``same``, environment names that are bound once, as another name for one that is bound once.
    """

    def __init__(self, order: list[AnyDraft], given: set[str], aliases: Aliases) -> None:
        self.aliases = aliases
        self.same = _other_names(order, given)

    def changed_surely(self, loop: DLoop) -> Iterator[DGlue]:
        """Yield the glue of a loop's body that adds to, or takes from, what the loop runs over."""
        assert loop.iterable is not None
        names = {node.id for node in nodes_of(loop.iterable) if isinstance(node, ast.Name)}
        envs = {self.same.get(env, env) for name in names if (env := loop.scope.env(name))}
        for glue in self.changed_perhaps(loop):
            if self.aliases.facts.changes[glue] & self.aliases.facts.iterated[loop]:
                near = {name for name, env in _locals_of(glue) if self.same.get(env, env) in envs}
                if any(_changes_size(statement, loop, names | near) for statement in glue.stmts):
                    yield glue
                    continue
            if any(_changes_path(statement, loop, glue) for statement in glue.stmts):
                yield glue

    def changed_perhaps(self, loop: DLoop, made: Set[str] = frozenset()) -> Iterator[DGlue]:
        """Yield the glue of a loop's body that may change what the loop runs over.

        Args:
            made: environment names of what the loop surely does not run over.
        """
        facts = self.aliases.facts
        read = facts.iterated[loop] | facts.followed[loop]
        for body in loop.bodies if read else ():
            for node in walk(body):
                for glue in glue_of(node):
                    others = read & ~union(facts.points[env] for env in glue.reads & made)
                    if glue is not loop.unpack and facts.changes.get(glue, NONE) & others:
                        yield glue


def watch_loops(block: list[AnyDraft], given: set[str], aliases: Aliases) -> bool:
    """Let glue that may change what a loop runs over see to it as it runs; return whether any does."""
    return _watch_in(block, Iterated(list(walk(block)), given, aliases))


def _watch_in(block: list[AnyDraft], found: Iterated) -> bool:
    any_watched = False
    for place, node in enumerate(block):
        for inner in blocks_of(node):
            any_watched |= _watch_in(inner, found)
        if isinstance(node, DLoop) and node.source is not None and not any(found.changed_surely(node)):
            made = _made_before(block, place)
            suspects = [glue for glue in found.changed_perhaps(node, made) if _can_watch(glue)]
            if suspects:
                _watch(node, suspects)
                any_watched = True
    return any_watched


def _made_before(block: list[AnyDraft], place: int) -> set[str]:
    """Return the names that are bound to new containers directly before a loop: it runs over none of these."""
    loop = block[place]
    assert isinstance(loop, DLoop)
    made: set[str] = set()
    for glue in [*loop.prelude, *_glue_before(block, place)]:
        for statement in glue.stmts:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.List(elts=[]) | ast.Dict(keys=[])):
                    made.add(name)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[], keywords=[])):
                    made.add(name)
    return envs_of(loop.source, made) - loop.source.reads if loop.source is not None else made


def _glue_before(block: list[AnyDraft], place: int) -> Iterator[DGlue]:
    """Yield the glue that binds without reading anything and stands directly before a node."""
    for node in reversed(block[:place]):
        if not isinstance(node, DGlue) or node.reads or node.effect:
            return
        yield node


def _can_watch(glue: DGlue) -> bool:
    return bool(glue.stmts) and glue.arm is None and glue.arm_body is None and glue.items is None


def _watch(loop: DLoop, suspects: list[DGlue]) -> None:
    """Keep the parts that the loop runs over under names, and let the glue look at them before and after."""
    assert loop.iterable is not None
    assert loop.source is not None
    loop.watched = True
    at = loop.iterable
    text = loop.label = loop.label or ast.unparse(at)
    whole, kept = f"{loop.kept}whole", f"{loop.kept}now"
    named = _Named(loop.source.scope, f"{loop.kept}part")
    stmts = [assign(whole, named.visit(at))]
    # A part that is no container of Python's own is not looked at, and may be what cannot be stored.
    stmts += [assign(name, runtime_call("container", [name_of(name, at)], at)) for name in named.made]
    loop.source.stmts = [*loop.source.stmts, *map(placed, stmts)]
    loop.iterable = name_of(whole, at)
    depth = _depth(loop)
    for glue in suspects:
        first = glue.stmts[0]
        parts = [name_of(name, first) for name in named.made]
        before = assign(kept, runtime_call("items_now", [constant(_only_size(glue), first), *parts], first))
        given = [name_of(kept, first), constant(depth, first), constant(text, first), *parts]
        after = ast.copy_location(ast.Expr(runtime_call("check_items", given, first)), first)
        glue.stmts = [placed(before), *glue.stmts, placed(after)]


def _only_size(glue: DGlue) -> bool:
    """Return whether glue changes one thing, and only by adding to it or taking from it: its size tells."""
    changes = [node for statement in glue.stmts for node in nodes_of(statement) if _resized_by(node)]
    calls = [node for statement in glue.stmts for node in nodes_of(statement) if isinstance(node, ast.Call)]
    stores = any(
        isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store)
        for statement in glue.stmts
        for node in nodes_of(statement)
    )
    return len(changes) == len(calls) == 1 and not stores and _resizes(calls[0])


def _resizes(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in RESIZERS - {"sort", "reverse", "rotate"}


def _depth(loop: DLoop) -> int:
    """Return how many loops are around a loop."""
    outer, depth = loop.outer, 0
    while outer is not None:
        outer, depth = outer.outer, depth + 1
    return depth


class _Named:
    """Gives each part that a loop steps through a name, where it is evaluated. State: ``made``, those names."""

    def __init__(self, scope: Scope, prefix: str) -> None:
        self.scope = scope
        self.prefix = prefix
        self.made: list[str] = []

    def visit(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Call(func=ast.Attribute() as func) if steps_through(node, self.scope):
                return rebuild(node, func=rebuild(func, value=self.visit(func.value)))
            case ast.Call(func=ast.Name()) if inner := steps_through(node, self.scope):
                return rebuild(node, args=[self.visit(arg) if arg in inner else arg for arg in node.args])
        name = f"{self.prefix}{len(self.made)}"
        self.made.append(name)
        return ast.copy_location(ast.NamedExpr(name_of(name, node, store=True), node), node)


def _other_names(order: list[AnyDraft], given: set[str]) -> dict[str, str]:
    count: Counter[str] = Counter(given)
    moved: dict[str, str] = {}
    for node in order:
        count.update(binds_of(node))
        if isinstance(node, DMove):
            moved[node.out] = moved.get(node.value, node.value)
    return {name: value for name, value in moved.items() if count[name] == 1 and count[value] == 1}


def _locals_of(glue: DGlue) -> list[tuple[str, str]]:
    found = {
        node.id for statement in glue.stmts for node in nodes_of(statement) if isinstance(node, ast.Name)
    }
    return [(name, env) for name in found if (env := glue.scope.env(name)) is not None]


# -- what the text says ---------------------------------------------------------------------------------------


def _changes_size(statement: ast.stmt, loop: DLoop, iterated: set[str]) -> bool:
    for node in nodes_of(statement):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name))):
                if name in iterated:
                    return True
            case ast.AugAssign(target=ast.Name(id=name)):
                if name in iterated:
                    return True
            case ast.Delete():
                if any(_owner(target) in iterated for target in node.targets):
                    return True
            case ast.Assign() if isinstance(loop.iterable, ast.Name):
                if any(_stores_item(target, loop, iterated) for target in node.targets):
                    return True
    return False


def _owner(target: ast.expr) -> str:
    inner = target.value if isinstance(target, ast.Subscript) else target
    return inner.id if isinstance(inner, ast.Name) else ""


def _stores_item(target: ast.expr, loop: DLoop, iterated: set[str]) -> bool:
    """Return whether a store may add an item. To a dict it may, but the loop has its keys already."""
    name = _owner(target) if isinstance(target, ast.Subscript) else ""
    return name in iterated and loop.scope.frame.kinds.get(name) is not dict


def _changes_path(statement: ast.stmt, loop: DLoop, glue: DGlue) -> bool:
    """Return whether a statement adds to, or takes from, ``d["k"]`` or ``box.items`` under the loop's own spelling."""
    if loop.scope.frame is not glue.scope.frame or loop.iterable is None:
        return False
    paths = {ast.dump(part) for part in _leaves(loop.iterable, glue.scope) if isinstance(part, _PATH)}
    return bool(paths) and any(
        isinstance(owner, _PATH) and ast.dump(_as_read(owner)) in paths
        for node in nodes_of(statement)
        for owner in _resized_by(node)
    )


def _resized_by(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr=attribute)) if attribute in MUTATORS:
            return [owner]
        case ast.AugAssign(target=owner):
            return [owner]
        case ast.Delete():
            return [target.value for target in node.targets if isinstance(target, ast.Subscript)]
        case _:
            return []


def _as_read(node: ast.expr) -> ast.expr:
    return rebuild(node, ctx=ast.Load())


def _leaves(node: ast.expr, scope: Scope) -> list[ast.expr]:
    """Return the expressions whose objects a loop over ``node`` steps through."""
    inner = steps_through(node, scope)
    return [leaf for part in inner for leaf in _leaves(part, scope)] if inner else [node]

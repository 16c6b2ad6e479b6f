"""Reads calls for the alias analysis: what they may give, what they may change, what they may link."""

from __future__ import annotations

import ast
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Final

from weft.lang.draft import TEMP
from weft.lang.effects import Effects
from weft.lang.heap import NONE, Sites, each, union
from weft.lang.names import parameters_of
from weft.lang.origins import origin_of_function
from weft.lang.purity import (
    CALLERS,
    CONTENTS,
    EXTENDERS,
    FRAME_READERS,
    IN_PLACE,
    MUTATORS,
    READERS,
    RESIZERS,
    VIEWERS,
    is_harmless,
    is_pure,
    known_builtin,
)
from weft.lang.resolve import NOTHING, resolve
from weft.lang.statements import match_parameters

if TYPE_CHECKING:
    from weft.lang.reading import Reader

_PLAIN_RESULT: Final = ("print", "isinstance", "len", "str", "int", "float", "bool")


class CallReader:
    """Reads calls; ``reader`` reads the expressions in them."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.facts = reader.facts
        self.heap = reader.heap

    def read(self, node: ast.Call) -> Sites:
        """Return what a call may give, noting what it may change."""
        arguments = self._arguments(node)
        given = union(arguments)
        if _is_runtime(node.func):
            return self._lent(node, arguments)
        found = resolve(node.func, self.reader.scope)
        name = known_builtin(node.func, self.reader.scope)
        if name in CALLERS:
            return self._mapped(node, given)
        if name is not None and self._hands_over_nothing_unknown(node):
            return self._builtin(node, name, arguments)
        if isinstance(node.func, ast.Attribute) and found is NOTHING:
            return self._method(node, node.func, arguments)
        if is_harmless(found) and self._hands_over_nothing_unknown(node):
            made = self.reader.fresh(node, given | self.heap.content(given))
            return made if isinstance(found, type) else made | given
        return self._own(node, arguments, found)

    def _lent(self, node: ast.Call, arguments: list[Sites]) -> Sites:
        """A call of one of the functions that the worker lends to glue."""
        given = union(arguments)
        name = getattr(node.func, "attr", "")
        if name == "container":
            return given
        if name == "cache_key":
            return NONE
        made = self.reader.fresh(node, given | self.heap.content(given))
        if name == "replay":
            # It raises what the generator raised: the last that it is given.
            self.facts.note_raised(self.reader.glue, arguments[-1])
        return made

    def _arguments(self, node: ast.Call) -> list[Sites]:
        """Return what each argument may be, those by position first."""
        sites = [self.reader.read(argument) for argument in node.args]
        for keyword in node.keywords:
            value = self.reader.read(keyword.value)
            sites.append(self.heap.content(value) if keyword.arg is None else value)
        return sites

    # -- what is known by name ------------------------------------------------------------------------

    def _builtin(self, node: ast.Call, name: str, arguments: list[Sites]) -> Sites:
        if name in _PLAIN_RESULT:
            return NONE
        adds_up = name == "sum" and len(arguments) > 1
        if name not in CONTENTS and not adds_up:
            return self.reader.fresh(node)
        given = union(arguments)
        holds = self.heap.content(given)
        if name in ("min", "max", "getattr", "vars"):
            return holds | given
        if adds_up or name == "dict":
            # The parts of the parts: of lists that are added up, of pairs.
            holds |= self.heap.content(holds) | union(arguments[len(node.args) :])
        made = self.reader.fresh(node, holds)
        if name in ("enumerate", "zip", "dict", "reversed"):
            self.heap.hold(made, made)
        return made

    def _mapped(self, node: ast.Call, given: Sites) -> Sites:
        """``map`` and ``filter``: the function that they call is not held by what they give."""
        if node.args and self._is_known_function(node.args[0]):
            given &= ~self.facts.closure_sites
            return self.reader.fresh(node, self.heap.reach(given))
        return self._unknown(node, given)

    def _hands_over_nothing_unknown(self, node: ast.Call) -> bool:
        """Return whether no argument is a function that may change something when it is called."""
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        if any(keyword.arg in IN_PLACE for keyword in node.keywords if not _is_false(keyword.value)):
            return False
        keys = [keyword.value for keyword in node.keywords if keyword.arg == "key"]
        return all(map(self._calls_nothing_unknown, parts)) and all(map(self._is_known_function, keys))

    def _is_known_function(self, part: ast.expr) -> bool:
        """Return whether ``part`` is a function that is known to change nothing."""
        if isinstance(part, ast.Attribute) and resolve(part, self.reader.scope) is NOTHING:
            return part.attr in READERS and not self.facts.judge.of_methods(part.attr)
        if isinstance(part, ast.Name) and resolve(part, self.reader.scope) is NOTHING:
            return False
        return self._calls_nothing_unknown(part)

    def _calls_nothing_unknown(self, part: ast.expr) -> bool:
        """Return whether a call of ``part``, if it is a function, changes nothing."""
        scope = self.reader.scope
        if isinstance(part, ast.Lambda):
            inner = scope.inner({name: f"{name}@inner" for name in parameters_of(part.args)})
            return is_pure(part.body, inner)
        if not isinstance(part, (ast.Name, ast.Attribute)):
            return True
        found = resolve(part, scope)
        if not isinstance(found, (FunctionType, BuiltinFunctionType)) or is_harmless(found):
            return not self.reader.read(part) & self.facts.closure_sites
        effects = self.facts.judge.of_callable(found)
        return effects is not None and effects.changes_nothing

    def _method(self, node: ast.Call, func: ast.Attribute, arguments: list[Sites]) -> Sites:
        receiver, given = self.reader.read(func.value), union(arguments)
        known = func.attr in MUTATORS | READERS | FRAME_READERS
        if not known or not self._hands_over_nothing_unknown(node):
            return self._unknown(node, given | receiver)
        result = NONE
        for effects in self.facts.judge.of_methods(func.attr):
            # A class of the project has a method of this name: it may be that one.
            if effects is None:
                return self._unknown(node, given | receiver)
            result |= self._judged(node, [receiver, *arguments], effects, bound=True)
        by_name = self._mutator if func.attr in MUTATORS else self._reader
        return result | by_name(node, func.attr, receiver, arguments)

    def _mutator(self, node: ast.Call, name: str, receiver: Sites, arguments: list[Sites]) -> Sites:
        content = self.heap.content
        given = union(arguments)
        held = given | content(given)
        if name in EXTENDERS:
            by_keyword = union(arguments[len(node.args) :])
            held = content(given) | content(content(given)) | by_keyword
        self.heap.hold(receiver, held)
        self.reader.change(receiver, resized=name in RESIZERS)
        return content(receiver)

    def _reader(self, node: ast.Call, name: str, receiver: Sites, arguments: list[Sites]) -> Sites:
        content, given = self.heap.content, union(arguments)
        parts = content(receiver) | given | content(given)
        if name in ("get", "items", "keys", "values", "with_traceback"):
            made = self.reader.fresh(node, content(receiver) | receiver)
            self.heap.hold(made, made)
            return made | content(receiver) | given | (receiver if name == "with_traceback" else NONE)
        made = self.reader.fresh(node, parts)
        if name in VIEWERS:
            self.heap.look_at(made, receiver)
        return made

    # -- what is judged, and what nobody knows ----------------------------------------------------------

    def _own(self, node: ast.Call, arguments: list[Sites], found: object) -> Sites:
        """A call of the user's own function or class."""
        judge = self.facts.judge
        if isinstance(found, type):
            effects = judge.of_class(found)
            if effects is not None:
                made = self.reader.fresh(node)
                self._judged(node, [made, *arguments], effects, bound=True)
                return made
        elif found is not NOTHING and (effects := judge.of_callable(found)) is not None:
            return self._judged(node, arguments, effects)
        return self._unknown(node, union(arguments) | self.reader.read(node.func))

    def _judged(self, node: ast.Call, given: list[Sites], effects: Effects, bound: bool = False) -> Sites:
        """Apply what is known of a function; ``bound``: its first parameter is no argument of the call."""
        parts = [*self._parts(node, given, effects, bound), self.reader.fresh(node)]
        own = self.reader.scope.frame, node, effects.arguments

        def sites(of: Sites) -> Sites:
            return union(parts[part] for part in each(of))

        for part, held in enumerate(effects.holds):
            held &= ~(1 << (part | 1))
            holders = parts[part]
            if not (effects.written | effects.resized) >> part & 1 and part + 1 < len(parts):
                holders &= self._near()
            if held and holders:
                self.heap.link(("judged", part, *map(id, own)), holders, sites(held))
        # What a loop around reads must stay as it is; that is checked when it runs.
        fixed = self.reader.looped_over() & ~self._near()
        written, resized = sites(effects.written), sites(effects.resized)
        self.reader.change(written & ~fixed)
        self.reader.change(resized & ~fixed, resized=True)
        self._possible(sites(effects.possible) | ((written | resized) & fixed))
        if effects.raised:
            self._raising(node, sites(effects.raised))
        return sites(effects.result)

    def _parts(self, node: ast.Call, given: list[Sites], effects: Effects, bound: bool) -> list[Sites]:
        """Return what each parameter may be and what it may reach, in turn."""
        names = parameters_of(effects.arguments)
        places = match_parameters(node, effects.arguments, bound)
        if places is None:
            whole = self.heap.reach(union(given))
            return [whole] * (2 * len(names))
        found = []
        for name in names:
            place = places[name]
            own = NONE if place is None else given[place]
            found += [own, self.heap.reach(self.heap.content(own))]
        return found

    def _raising(self, node: ast.Call, sites: Sites) -> None:
        """Note that a call may raise an exception that holds ``sites``, or is one of them."""
        error = self.heap.site(("raised", id(node), id(self.reader.scope.frame)), self.reader.loop)
        self.heap.link(("raising", id(node), id(self.reader.scope.frame)), error, sites)
        self.facts.note_raised(self.reader.glue, error | sites)

    def _may_be_of_the_project(self, func: ast.expr) -> bool:
        """Return whether a callee may be a function that somebody wrote for this project, with raises of its own."""
        found = resolve(func, self.reader.scope)
        if found is not NOTHING:
            return isinstance(found, FunctionType) and origin_of_function(found).kind == "project"
        if not isinstance(func, ast.Attribute):
            return True
        return any(effects is None or effects.raised for effects in self.facts.judge.of_methods(func.attr))

    def _near(self) -> Sites:
        """Return the sites that a call may be taken to change unseen: in a loop, those made there."""
        loop = self.reader.glue.in_loop
        return ~NONE if loop is None else self.heap.inside(loop)

    def _possible(self, sites: Sites) -> Sites:
        """Note that a call may change ``sites``, and return those of which it is so taken."""
        sites = self.heap.seen(sites)
        near = sites & self._near()
        self.facts.note_unseen(self.reader.glue, sites & ~near)
        self.reader.change(near, written=False)
        return near

    def _unknown(self, node: ast.Call, given: Sites) -> Sites:
        """A call that the compiler cannot see into may change and link all that it can reach."""
        reach = self.heap.seen(self.heap.reach(given))
        self.reader.change(self.facts.changed_by_closures(reach))
        near = self._possible(reach)
        # A function that is called, or handed to a call, is not taken to be kept by it.
        kept = reach & ~self.facts.closure_sites
        if self._may_be_of_the_project(node.func):
            self._raising(node, kept)
        made = self.reader.fresh(node)
        self.heap.link(("unknown", id(node), id(self.reader.scope.frame)), (near & kept) | made, kept)
        return made | kept


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and not value.value


def _is_runtime(func: ast.expr) -> bool:
    """Return whether ``func`` is one of the functions that the worker lends to glue."""
    return (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Name)
        and func.value.id == TEMP.removesuffix("_")
    )

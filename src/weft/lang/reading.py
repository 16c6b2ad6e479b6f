"""Reads expressions for the alias analysis: what they may be, what evaluating them may change."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType, ModuleType
from typing import Any, Final

from weft.lang.calling import CallReader
from weft.lang.draft import DGlue, DLoop, Scope
from weft.lang.facts import Facts
from weft.lang.heap import NONE, Sites, union
from weft.lang.names import free_names, names_of
from weft.lang.purity import changed_in_place, steps_through
from weft.lang.resolve import NOTHING, resolve

_NO_OBJECTS: Final = (
    ModuleType,
    type,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodDescriptorType,
    str,
    int,
    float,
    Enum,
)


class Reader:
    """Evaluates expressions of one piece of glue to the sites that they may be.

    State: ``inner``, the names that comprehensions around the expression have of their own.
    """

    def __init__(
        self, facts: Facts, glue: DGlue, scope: Scope | None = None, loop: DLoop | None = None
    ) -> None:
        self.facts = facts
        self.heap = facts.heap
        self.glue = glue
        self.scope = scope or glue.scope
        self.loop = loop or glue.in_loop
        self.inner: list[dict[str, Sites]] = []
        self._calls = CallReader(self)

    @contextmanager
    def own_names(self, names: Iterable[str]) -> Iterator[None]:
        """Let ``names`` be those of a comprehension for a while."""
        self.inner.append(dict.fromkeys(names, NONE))
        yield
        self.inner.pop()

    def fresh(self, node: object, holds: Sites = NONE) -> Sites:
        """Return the site of what ``node`` makes, which holds ``holds``."""
        site = self.facts.made_at(node, self.scope.frame, self.loop)
        self.heap.hold(site, holds)
        return site

    def change(self, sites: Sites, written: bool = True, resized: bool = False) -> None:
        """Note a change.

        Args:
            written: the text says it, it is no mere possibility of a call.
            resized: items come or go. No view lets its base do that, so a slice is a list, and a copy.
        """
        if written:
            if not resized:
                sites = self.heap.seen(sites)
                self.facts.overwritten |= sites
            self.facts.written[self.glue] |= sites
        self.facts.note_change(self.glue, sites)

    def raising(self, node: object, error: Sites, held: Sites) -> None:
        """Note that ``node`` may raise ``error``, or what it makes, with what it holds and came from."""
        if self.glue.handling is not None:
            held |= (current := self.facts.points[self.glue.handling])
            error = error or current
        self.heap.hold(error, held)
        self.facts.note_raised(self.glue, error | self.fresh(node, held))

    def iterated(self, node: ast.expr) -> Sites:
        """Return the sites of names that a loop over ``node`` reads step by step."""
        if isinstance(node, ast.Name):
            return self.read(node)
        return union(map(self.iterated, steps_through(node, self.scope)))

    def followed(self, node: ast.expr) -> Sites:
        """Return the sites that a loop over ``node`` may read step by step through other expressions than names."""
        match node:
            case ast.Attribute(value=owner):
                return self.heap.content(self.read(owner))
            case ast.Subscript(value=owner, slice=index) if not isinstance(index, ast.Slice):
                return self.heap.content(self.read(owner))
            case ast.NamedExpr() | ast.IfExp() | ast.BoolOp():
                return self.read(node)
            case ast.Call():
                inner = steps_through(node, self.scope)
                return union(map(self.followed, inner)) if inner else self.read(node)
        return NONE

    def looped_over(self) -> Sites:
        """Return the sites that the loops around this glue read step by step."""
        found, loop = NONE, self.glue.in_loop
        while loop is not None:
            found |= self.facts.iterated[loop]
            loop = loop.outer
        return found

    # -- names ----------------------------------------------------------------------------------------

    def name(self, name: str) -> Sites:
        """Return the sites that a name may be."""
        for bound in reversed(self.inner):
            if name in bound:
                return bound[name]
        env = self.scope.env(name)
        if env is not None:
            return self.facts.points[env]
        return self._of_module(resolve(ast.Name(name, ast.Load()), self.scope))

    def _of_module(self, found: object) -> Sites:
        """Return the site of what stands outside the function."""
        if found is NOTHING or isinstance(found, _NO_OBJECTS):
            return NONE
        site = self.heap.opaque(("global", id(found)))
        self.facts.outside |= site
        return site

    def _name_it(self, name: str, sites: Sites) -> None:
        for bound in reversed(self.inner):
            if name in bound:
                bound[name] |= sites
                return
        env = self.scope.env(name)
        if env is not None:
            self.facts.point(env, sites)

    def bind(self, target: ast.expr, sites: Sites) -> None:
        """Let an assignment's target hold ``sites``."""
        match target:
            case ast.Name():
                self._name_it(target.id, sites)
            case ast.Tuple() | ast.List():
                for part in target.elts:
                    self.bind(part, self.heap.content(sites))
            case ast.Starred():
                self.bind(target.value, self.fresh(target, sites))
            case ast.Attribute() | ast.Subscript():
                owners = self.read(target.value)
                if isinstance(target, ast.Subscript):
                    self.read(target.slice)
                if resolve(target.value, self.scope) is not NOTHING:
                    self.facts.outside |= sites
                self.heap.hold(owners, sites)
                self.change(owners)

    # -- expressions ----------------------------------------------------------------------------------

    def read(self, node: ast.expr | None) -> Sites:
        """Return the sites that ``node`` may evaluate to, noting what its evaluation may change."""
        match node:
            case None | ast.Constant():
                return NONE
            case ast.Name():
                return self.name(node.id)
            case ast.NamedExpr():
                sites = self.read(node.value)
                env = self.scope.env(node.target.id)
                if env is not None:
                    self.facts.point(env, sites)
                return sites
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Starred():
                return self.heap.content(self.read(node.value))
            case ast.BoolOp():
                return union(map(self.read, node.values))
            case ast.IfExp():
                self.read(node.test)
                return self.read(node.body) | self.read(node.orelse)
            case ast.JoinedStr() | ast.FormattedValue():
                self._children(node)
                return NONE
            case ast.Dict():
                return self.fresh(node, self._held_by(node))
            case ast.Lambda():
                return self.function(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node)
            case ast.Call():
                return self._calls.read(node)
            case ast.BinOp():
                sides = self.read(node.left) | self.read(node.right)
                return self.fresh(node, self.heap.content(sides))
            case ast.List() | ast.Tuple() | ast.Set():
                return self.fresh(node, union(map(self.read, node.elts)))
            case _:
                return self.fresh(node, self._children(node))

    def _attribute(self, node: ast.Attribute) -> Sites:
        found = resolve(node, self.scope)
        if found is not NOTHING:
            return self._of_module(found)
        base = self.read(node.value)
        return base | self.heap.content(base)

    def _subscript(self, node: ast.Subscript) -> Sites:
        base = self.read(node.value)
        self.read(node.slice)
        held = self.heap.content(base)
        if not isinstance(node.slice, ast.Slice):
            if self.facts.reading_may_add:
                self.change(base, written=False)
            return base | held
        # A slice of a list is a copy, that of an array a view: a change that the text says counts for both.
        made = self.fresh(node, held)
        self.heap.look_at(made, base)
        return made

    def _held_by(self, node: ast.Dict) -> Sites:
        held = NONE
        for key, value in zip(node.keys, node.values, strict=True):
            sites = self.read(value)
            held |= self.heap.content(sites) if key is None else sites | self.read(key)
        return held

    def _children(self, node: ast.AST) -> Sites:
        return union(self.read(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))

    def _comprehension(self, node: Any) -> Sites:
        first = self.read(node.generators[0].iter)
        with self.own_names(names_of(g.target for g in node.generators).binds):
            for place, generator in enumerate(node.generators):
                sites = self.read(generator.iter) if place else first
                self.bind(generator.target, self.heap.content(sites))
                for condition in generator.ifs:
                    self.read(condition)
            parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
            holds = union(map(self.read, parts))
        return self.fresh(node, holds)

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Sites:
        """Return the site of a function that is defined here: it holds what it captures."""
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]:
            self.read(default)
        captured = free_names(node)
        site = self.fresh(node, union(map(self.name, captured)))
        envs = {
            name: env
            for name in captured
            if not any(name in bound for bound in self.inner) and (env := self.scope.env(name))
        }
        changed = {(envs[name], in_part) for name, in_part in changed_in_place(node) if name in envs}
        self.facts.note_closure(site, self.glue, set(envs.values()), changed)
        return site

"""Reads one piece of glue for the alias analysis: what its expressions may be, what it may change."""

from __future__ import annotations

import ast
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from weft.lang.draft import TEMP, DGlue, DLoop, Scope
from weft.lang.names import free_names, names_of, parameters_of
from weft.lang.purity import CALLERS, CONTENTS, MUTATORS, READERS, is_pure, known_builtin
from weft.lang.resolve import NOTHING, resolve
from weft.lang.syntax import nodes_of

if TYPE_CHECKING:
    from weft.lang.alias import Aliases

Sites = frozenset[int]
NONE: Final[Sites] = frozenset()

# Functions of these packages leave their arguments as they are (but for the names below).
HARMLESS: Final = frozenset(
    [
        "math",
        "json",
        "statistics",
        "operator",
        "re",
        "datetime",
        "pathlib",
        "string",
        "numpy",
        "pandas",
        "polars",
        "pyarrow",
        "sklearn",
        "copy",
        "itertools",
        "collections",
        "textwrap",
        "fractions",
        "decimal",
        "builtins",
        "dataclasses",
        "functools",
    ]
)
HARMFUL: Final = frozenset(
    [
        "put",
        "place",
        "copyto",
        "fill_diagonal",
        "put_along_axis",
        "shuffle",
        "setattr",
        "delattr",
        "next",
        "iter",
    ]
)


class Reader:
    """Evaluates expressions of one piece of glue to the sites that they may be."""

    def __init__(
        self, aliases: Aliases, glue: DGlue, scope: Scope | None = None, loop: DLoop | None = None
    ) -> None:
        self.a = aliases
        self.g = glue
        self.scope = scope or glue.scope
        self.loop = loop or glue.in_loop
        self.inner: list[dict[str, set[int]]] = []

    # -- the whole ------------------------------------------------------------------------------------

    def glue(self) -> None:
        if self.g.items is not None:
            self.items(self.g.items)
        for statement in self.g.stmts:
            self.statement(statement)
        for statement in self.g.arm_body or ():
            self.statement(statement)
        if self.g.arm is not None:
            self.read(self.g.arm)

    def items(self, loop: DLoop) -> None:
        assert loop.iterable is not None
        assert loop.target is not None
        items = self.a.content(self.read(loop.iterable))
        self.inner.append({name: set() for name in names_of([loop.target]).binds})
        self.bind(loop.target, items)
        for condition in loop.filters:
            self.read(condition)
        self.inner.pop()

    def fresh(self, node: object, holds: Sites = NONE) -> Sites:
        self.a._keep.append(node)
        # A workflow that is inlined twice makes other objects each time.
        site = self.a.site(("at", id(node), id(self.scope.frame)), self.loop)
        self.a.heap[site] |= holds
        return frozenset({site})

    def change(self, sites: Sites, written: bool = True) -> None:
        """Note a change; ``written``: the text says it, it is no mere possibility of a call."""
        if written:
            sites = self.a.seen(sites)
            self.a.written[self.g] |= sites
        self.a.changes[self.g] |= sites
        self.a.changed |= sites

    def iterated(self, node: ast.expr) -> set[int]:
        """Return the sites that a loop over ``node`` reads step by step."""
        if isinstance(node, ast.Name):
            return set(self.read(node))
        if isinstance(node, ast.Call):
            name = known_builtin(node.func, self.scope)
            if name in ("enumerate", "zip", "reversed", "map", "filter"):
                return (
                    set().union(*(self.iterated(argument) for argument in node.args)) if node.args else set()
                )
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("items", "keys", "values"):
                return self.iterated(node.func.value)
        return set()

    # -- names ----------------------------------------------------------------------------------------

    def name(self, name: str) -> Sites:
        for bound in reversed(self.inner):
            if name in bound:
                return frozenset(bound[name])
        env = self.scope.env(name)
        if env is not None:
            return frozenset(self.a.points[env])
        found = resolve(ast.Name(name, ast.Load()), self.scope)
        if found is NOTHING or isinstance(
            found, (ModuleType, type, FunctionType, BuiltinFunctionType, str, int, float)
        ):
            return NONE
        return frozenset({self.a.opaque(("global", name), None)})

    def bind(self, target: ast.expr, sites: Sites) -> None:
        match target:
            case ast.Name():
                for bound in reversed(self.inner):
                    if target.id in bound:
                        bound[target.id] |= sites
                        return
                env = self.scope.env(target.id)
                if env is not None:
                    self.a.points[env] |= sites
            case ast.Tuple() | ast.List():
                for part in target.elts:
                    self.bind(part, self.a.content(sites))
            case ast.Starred():
                self.bind(target.value, self.fresh(target, sites))
            case ast.Attribute() | ast.Subscript():
                owners = self.read(target.value)
                if isinstance(target, ast.Subscript):
                    self.read(target.slice)
                for owner in owners:
                    self.a.heap[owner] |= sites
                self.change(owners)

    # -- statements -----------------------------------------------------------------------------------

    def statement(self, node: ast.AST) -> None:
        match node:
            case ast.Assign():
                sites = self.read(node.value)
                for target in node.targets:
                    self.bind(target, sites)
            case ast.AnnAssign():
                if node.value is not None:
                    self.bind(node.target, self.read(node.value))
            case ast.AugAssign():
                self._augmented(node)
            case ast.For() | ast.AsyncFor():
                self.bind(node.target, self.a.content(self.read(node.iter)))
                self.all([*node.body, *node.orelse])
            case ast.Return():
                if node.value is not None:
                    self.a.points[self.scope.frame.result] |= self.read(node.value)
            case ast.Delete():
                for target in node.targets:
                    if isinstance(target, (ast.Subscript, ast.Attribute)):
                        self.change(self.read(target.value))
            case ast.With() | ast.AsyncWith():
                for item in node.items:
                    sites = self.read(item.context_expr)
                    if item.optional_vars is not None:
                        self.bind(item.optional_vars, sites | self.fresh(item, sites))
                self.all(node.body)
            case ast.Try() | ast.TryStar():
                for handler in node.handlers:
                    if handler.name:
                        self.bind(ast.Name(handler.name, ast.Store()), self.fresh(handler))
                    self.all(handler.body)
                self.all([*node.body, *node.orelse, *node.finalbody])
            case ast.Match():
                subject = self.read(node.subject)
                for case in node.cases:
                    self._pattern(case.pattern, subject | self.a.reach(subject))
                    if case.guard is not None:
                        self.read(case.guard)
                    self.all(case.body)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.bind(ast.Name(node.name, ast.Store()), self._function(node))
            case ast.ClassDef():
                self.bind(ast.Name(node.name, ast.Store()), self.fresh(node))
            case ast.expr():
                self.read(node)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, (ast.expr, ast.stmt)):
                        self.statement(child)

    def all(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def _augmented(self, node: ast.AugAssign) -> None:
        value = self.read(node.value)
        if isinstance(node.target, ast.Name):
            old = self.name(node.target.id)
            for site in old:
                self.a.heap[site] |= self.a.content(value)
            self.change(old)
            self.bind(node.target, self.fresh(node, self.a.content(old) | self.a.content(value)))
            return
        assert isinstance(node.target, (ast.Attribute, ast.Subscript))
        owners = self.read(node.target.value)
        old = self.a.content(owners)
        self.change(old)
        self.bind(node.target, old | self.fresh(node, self.a.content(old) | self.a.content(value)))

    def _pattern(self, pattern: ast.pattern, sites: Sites) -> None:
        for inner in nodes_of(pattern):
            name = getattr(inner, "name", None) or getattr(inner, "rest", None)
            if isinstance(name, str):
                self.bind(ast.Name(name, ast.Store()), sites | self.fresh(inner, sites))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Sites:
        for default in [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]:
            self.read(default)
        captured = free_names(node)
        holds: set[int] = set()
        for name in captured:
            holds |= self.name(name)
        (site,) = self.fresh(node, frozenset(holds))
        names = {name for name in captured if not any(name in bound for bound in self.inner)}
        self.a.closures[site] = (self.g, {env for name in names if (env := self.scope.env(name))})
        return frozenset({site})

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
                    self.a.points[env] |= sites
                return sites
            case ast.Attribute():
                found = resolve(node, self.scope)
                if found is not NOTHING:
                    return NONE
                base = self.read(node.value)
                return base | self.a.content(base)
            case ast.Subscript():
                base = self.read(node.value)
                self.read(node.slice)
                if isinstance(node.slice, ast.Slice):
                    return self._slice(node, base)
                return base | self.a.content(base)
            case ast.Starred():
                return self.a.content(self.read(node.value))
            case ast.BoolOp():
                return frozenset().union(*map(self.read, node.values))
            case ast.IfExp():
                self.read(node.test)
                return self.read(node.body) | self.read(node.orelse)
            case ast.JoinedStr() | ast.FormattedValue():
                self._children(node)
                return NONE
            case ast.Dict():
                holds = [
                    self.a.content(self.read(v)) if k is None else self.read(v)
                    for k, v in zip(node.keys, node.values, strict=True)
                ]
                keys = [self.read(key) for key in node.keys if key is not None]
                return self.fresh(node, frozenset().union(*holds, *keys))
            case ast.Lambda():
                return self._function(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                return self._comprehension(node)
            case ast.Call():
                return self._call(node)
            case ast.BinOp():
                sides = self.read(node.left) | self.read(node.right)
                return self.fresh(node, self.a.content(sides))
            case ast.List() | ast.Tuple() | ast.Set():
                return self.fresh(node, frozenset().union(*map(self.read, node.elts)))
            case _:
                return self.fresh(node, self._children(node))

    def _slice(self, node: ast.Subscript, base: Sites) -> Sites:
        """A slice of a list is a copy, that of an array a view: a change of it that the text says counts twice."""
        (site,) = made = self.fresh(node, self.a.content(base))
        self.a.views[site] |= base
        return made

    def _children(self, node: ast.AST) -> Sites:
        found: Sites = NONE
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                found |= self.read(child)
        return found

    def _comprehension(self, node: Any) -> Sites:
        first = self.read(node.generators[0].iter)
        bound: dict[str, set[int]] = {
            name: set() for name in names_of(g.target for g in node.generators).binds
        }
        self.inner.append(bound)
        for place, generator in enumerate(node.generators):
            sites = first if place == 0 else self.read(generator.iter)
            self.bind(generator.target, self.a.content(sites))
            for condition in generator.ifs:
                self.read(condition)
        parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        holds = frozenset().union(*map(self.read, parts))
        self.inner.pop()
        return self.fresh(node, holds)

    # -- calls ----------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Sites:
        arguments = [self.read(argument) for argument in node.args]
        arguments += [
            self.a.content(sites) if kw.arg is None else sites
            for kw in node.keywords
            if (sites := self.read(kw.value)) or True
        ]
        given: Sites = frozenset().union(*arguments)
        if (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == TEMP[:-1]
        ):
            return self.fresh(node, given | self.a.content(given))
        name = known_builtin(node.func, self.scope)
        if name in CONTENTS:
            return self._contents(node, name or "", given)
        if name in CALLERS:
            return self._mapped(node, given)
        if name is not None:
            return (
                NONE
                if name in ("print", "isinstance", "len", "str", "int", "float", "bool")
                else self.fresh(node)
            )
        found = resolve(node.func, self.scope)
        if isinstance(node.func, ast.Attribute) and found is NOTHING:
            return self._method(node, node.func, given)
        if found is not NOTHING and _is_harmless(found):
            return self.fresh(node, given | self.a.content(given)) | (
                NONE if isinstance(found, type) else given
            )
        return self._unknown(node, given | self.read(node.func))

    def _mapped(self, node: ast.Call, given: Sites) -> Sites:
        """``map`` and ``filter``: the function that they call is not held by what they give."""
        if node.args and self._calls_nothing_unknown(node.args[0]):
            given = frozenset(site for site in given if site not in self.a.closures)
            made = self.fresh(node, given | self.a.content(given))
            return made
        return self._unknown(node, given)

    def _calls_nothing_unknown(self, func: ast.expr) -> bool:
        if isinstance(func, ast.Lambda):
            inner = self.scope.inner({name: f"{name}@inner" for name in parameters_of(func.args)})
            return is_pure(func.body, inner)
        found = resolve(func, self.scope)
        return found is not NOTHING and _is_harmless(found)

    def _contents(self, node: ast.Call, name: str, given: Sites) -> Sites:
        holds = self.a.content(given)
        if name in ("min", "max", "getattr"):
            return holds | given
        made = self.fresh(node, holds)
        if name in ("enumerate", "zip", "dict", "reversed"):
            for site in made:
                self.a.heap[site].add(site)
        return made

    def _method(self, node: ast.Call, func: ast.Attribute, given: Sites) -> Sites:
        receiver = self.read(func.value)
        if func.attr in MUTATORS:
            everything = given | self.a.content(given)
            for site in receiver:
                self.a.heap[site] |= everything
            self.change(receiver)
            return self.a.content(receiver)
        if func.attr in READERS:
            made = self.fresh(node, self.a.content(receiver) | receiver)
            for site in made:
                self.a.heap[site].add(site)
            return made | self.a.content(receiver) | given
        return self._unknown(node, given | receiver)

    def _unknown(self, node: ast.Call, given: Sites) -> Sites:
        """A call that the compiler cannot see into may change and link all that it can reach."""
        reach = self.a.reach(given)
        seen = reach = self.a.seen(reach)
        if self.g.in_loop is not None:
            seen = frozenset(site for site in reach if _within(self.a.loops[site], self.g.in_loop))
            self.a.unseen[self.g] |= reach - seen
        # A function that is called, or handed to a call, is not taken to be kept by it.
        kept = frozenset(site for site in reach if site not in self.a.closures)
        made = self.fresh(node)
        self.a.link(("unknown", id(node)), (seen & kept) | made, kept)
        self.change(seen, written=False)
        return made | kept


def _within(made_in: DLoop | None, loop: DLoop) -> bool:
    """Return whether a site is made in the body of ``loop``, or of a loop inside it."""
    while made_in is not None:
        if made_in is loop:
            return True
        made_in = made_in.outer
    return False


def _is_harmless(found: object) -> bool:
    if getattr(found, "__name__", "") in HARMFUL:
        return False
    module = getattr(found, "__module__", None) or ""
    if module.partition(".")[0] in HARMLESS:
        return True
    if isinstance(found, type):
        return (
            issubclass(found, BaseException)
            or "__init__" not in vars(found)
            or hasattr(found, "__dataclass_fields__")
        )
    return False

"""Reads the statements of one piece of glue for the alias analysis."""

from __future__ import annotations

import ast

from weft.lang.draft import DGlue, DLoop
from weft.lang.facts import Facts
from weft.lang.heap import NONE
from weft.lang.names import names_of
from weft.lang.reading import Reader
from weft.lang.syntax import nodes_of


def read_glue(facts: Facts, glue: DGlue) -> None:
    """Note in ``facts`` what a whole piece of glue binds, stores and may change."""
    statements = StatementReader(Reader(facts, glue))
    if glue.items is not None:
        statements.items(glue.items)
    statements.all([*glue.stmts, *(glue.arm_body or ())])
    if glue.arm is not None:
        statements.reader.read(glue.arm)


class StatementReader:
    """Reads statements; ``reader`` reads the expressions in them."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.heap = reader.heap

    def items(self, loop: DLoop) -> None:
        """Read what a loop runs over, with the filters that are evaluated there."""
        assert loop.iterable is not None
        assert loop.target is not None
        reader = self.reader
        items = self.heap.content(reader.read(loop.iterable))
        with reader.own_names(names_of([loop.target]).binds):
            reader.bind(loop.target, items)
            for condition in loop.filters:
                reader.read(condition)

    def all(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.AST) -> None:
        """Read one statement, or an expression that stands in it."""
        reader = self.reader
        match node:
            case ast.Assign():
                sites = reader.read(node.value)
                for target in node.targets:
                    reader.bind(target, sites)
            case ast.AnnAssign():
                if node.value is not None:
                    reader.bind(node.target, reader.read(node.value))
            case ast.AugAssign():
                self._augmented(node)
            case ast.For() | ast.AsyncFor():
                reader.bind(node.target, self.heap.content(reader.read(node.iter)))
                self.all([*node.body, *node.orelse])
            case ast.Return():
                if node.value is not None:
                    reader.facts.point(reader.scope.frame.result, reader.read(node.value))
            case ast.Raise():
                reader.raising(node, reader.read(node.exc), reader.read(node.cause))
            case ast.Assert():
                reader.read(node.test)
                reader.raising(node, NONE, reader.read(node.msg))
            case ast.Delete():
                for target in node.targets:
                    if isinstance(target, (ast.Subscript, ast.Attribute)):
                        reader.change(reader.read(target.value))
            case ast.With() | ast.AsyncWith():
                self._with(node)
            case ast.Try() | ast.TryStar():
                self._try(node)
            case ast.Match():
                self._match(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                reader.bind(ast.Name(node.name, ast.Store()), reader.function(node))
            case ast.ClassDef():
                reader.bind(ast.Name(node.name, ast.Store()), reader.fresh(node))
            case ast.expr():
                reader.read(node)
            case _:
                for child in ast.iter_child_nodes(node):
                    if isinstance(child, (ast.expr, ast.stmt)):
                        self.statement(child)

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            sites = self.reader.read(item.context_expr)
            # What it does on the way in and out is nobody's text.
            self.reader.change(self.heap.reach(sites), written=False)
            if item.optional_vars is not None:
                self.reader.bind(item.optional_vars, sites | self.reader.fresh(item, sites))
        self.all(node.body)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        for handler in node.handlers:
            if handler.name:
                caught = self.reader.facts.caught(self.reader.glue)
                error = self.reader.fresh(handler, caught)
                self.reader.bind(ast.Name(handler.name, ast.Store()), error | caught)
            self.all(handler.body)
        self.all([*node.body, *node.orelse, *node.finalbody])

    def _match(self, node: ast.Match) -> None:
        subject = self.reader.read(node.subject)
        for case in node.cases:
            self._pattern(case.pattern, self.heap.reach(subject))
            if case.guard is not None:
                self.reader.read(case.guard)
            self.all(case.body)

    def _pattern(self, pattern: ast.pattern, sites: int) -> None:
        for inner in nodes_of(pattern):
            name = getattr(inner, "name", None) or getattr(inner, "rest", None)
            if isinstance(name, str):
                made = self.reader.fresh(inner, sites)
                self.reader.bind(ast.Name(name, ast.Store()), sites | made)

    def _augmented(self, node: ast.AugAssign) -> None:
        reader, content = self.reader, self.heap.content
        value = reader.read(node.value)
        if isinstance(node.target, ast.Name):
            old = reader.name(node.target.id)
            self.heap.hold(old, content(value))
            reader.change(old)
            reader.bind(node.target, reader.fresh(node, content(old) | content(value)))
            return
        owners = reader.read(node.target.value)
        old = content(owners)
        reader.change(old)
        reader.bind(node.target, old | reader.fresh(node, content(old) | content(value)))

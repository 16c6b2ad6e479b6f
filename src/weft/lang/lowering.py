"""From a workflow's text to the draft: each part lowers one sort of syntax, and they call one another."""

from __future__ import annotations

from typing import Any

from weft.lang.call_lowering import CallLowering
from weft.lang.calls import CallFinder
from weft.lang.compound_lowering import CompoundLowering
from weft.lang.comprehension_lowering import ComprehensionLowering
from weft.lang.draft import AnyDraft
from weft.lang.drafting import Drafter
from weft.lang.expression_lowering import ExpressionLowering
from weft.lang.inlining import Inliner
from weft.lang.loop_lowering import LoopLowering
from weft.lang.statement_lowering import StatementLowering
from weft.lang.statements import Function
from weft.lang.workflows import Workflow


class Lowering:
    """The parts of the lowering of one workflow, over one ``draft``."""

    def __init__(self, finder: CallFinder) -> None:
        self.draft = Drafter(finder)
        self.expressions = ExpressionLowering(self)
        self.calls = CallLowering(self)
        self.comprehensions = ComprehensionLowering(self)
        self.loops = LoopLowering(self)
        self.inliner = Inliner(self)
        self.compounds = CompoundLowering(self)
        self.statements = StatementLowering(self)

    def lower(self, workflow: Workflow[..., Any], result: str) -> tuple[Function, list[AnyDraft]]:
        """Return a workflow's definition and its draft; ``result`` is the name of what it returns."""
        self.inliner.stack.append(workflow)
        scope, tree = self.inliner.enter(workflow, "", result)
        block: list[AnyDraft] = []
        self.inliner.lower_body(tree, scope, block)
        return tree, block

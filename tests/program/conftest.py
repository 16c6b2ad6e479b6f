"""Programs built by hand, as the compiler would make them, so that the graph is tested without it."""

from __future__ import annotations

from typing import Any

import pytest

from weft.program.nodes import (
    Block,
    Branch,
    Call,
    Code,
    Glue,
    Group,
    Handler,
    Loop,
    Parameter,
    Program,
    Return,
    Span,
    StepSpec,
    Try,
    Unit,
)


class Builder:
    """Makes nodes with ids that count up and spans found by their text in ``source``."""

    def __init__(self, source: str, *parameters: str | tuple[str, str]) -> None:
        self.source = source
        self.count = 0
        self.steps: dict[str, StepSpec] = {}
        self.parameters = tuple(
            Parameter(
                *(p if isinstance(p, tuple) else (p,))[:1],
                kind="positional_or_keyword",
                default=p[1] if isinstance(p, tuple) else None,
            )  # type: ignore[misc]
            for p in parameters
        )

    def span(self, text: str) -> Span:
        at = self.source.index(text)
        before = self.source[:at]
        line, column = before.count("\n") + 1, at - (before.rfind("\n") + 1)
        more = text.count("\n")
        end = len(text) - text.rfind("\n") - 1 if more else column + len(text)
        return Span(0, line, column, line + more, end)

    def id(self) -> int:
        self.count += 1
        return self.count

    def code(self, text: str, reads: str = "", writes: str = "") -> Code:
        return Code(text, 0, reads={n: n for n in reads.split()}, writes={n: n for n in writes.split()})

    def glue(self, text: str, reads: str = "", writes: str = "", **more: Any) -> Glue:
        return Glue(id=self.id(), span=self.span(text), code=self.code(text, reads, writes), **more)

    def call(
        self,
        text: str,
        reads: str = "",
        out: str | None = None,
        path: str = "",
        spec: Any = None,
        **more: Any,
    ) -> Call:
        name = text.split("(")[0]
        self.steps.setdefault(name, spec or StepSpec(name, "m", name, "f"))
        return Call(
            id=self.id(),
            span=self.span(text),
            code=self.code(text, reads),
            step=list(self.steps).index(name),
            path=path or name,
            out=out,
            **more,
        )

    def branch(self, text: str, reads: str, *arms: Any, labels: tuple[str, ...] = (), **more: Any) -> Branch:
        test = self.glue(text, reads)
        return Branch(
            id=self.id(),
            span=test.span,
            test=test,
            arms=tuple(Block(tuple(a)) for a in arms),
            labels=labels,
            **more,
        )

    def loop(self, text: str, reads: str, targets: str, *body: Any, over: str = "", **more: Any) -> Loop:
        source = self.glue(over or text, reads)
        return Loop(
            id=self.id(),
            span=self.span(text),
            source=source,
            bodies=(Block(body),),
            orelse=Block(),
            targets=tuple(targets.split()),
            **more,
        )

    def returns(self, text: str = "return") -> Return:
        return Return(id=self.id(), span=self.span(text), guard=True)

    def attempt(self, text: str, body: Any, handlers: Any, final: Any = ()) -> Try:
        made = tuple(Handler(Block(tuple(block)), label=label) for label, block in handlers)
        return Try(
            id=self.id(),
            span=self.span(text),
            body=Block(tuple(body)),
            match=None,
            handlers=made,
            orelse=Block(),
            final=Block(tuple(final)),
            error="@error",
        )

    def group(self, text: str, path: str, result: str, *body: Any) -> Group:
        return Group(
            id=self.id(), span=self.span(text), name=path, path=path, body=Block(body), result=result
        )

    def program(self, *nodes: Any, **more: Any) -> Program:
        return Program(
            name=self.source.split("(")[0].removeprefix("def "),
            module="m",
            qualname="w",
            file="flights.py",
            parameters=self.parameters,
            units=(Unit("w", "m", "flights.py", 1, self.source),),
            steps=tuple(self.steps.values()),
            body=Block(nodes),
            node_count=self.count,
            **more,
        )


DELAYS = """def delays(months, target=0.75):
    flights = concat([load(m) for m in months])
    report = check(flights)
    if not report.ok:
        notify(f"bad data: {report.reasons}")
        return None
    models = [train(flights, kind) for kind in KINDS]
    best = best_of(models)
    if best.auc >= target:
        return release(best)
    notify(f"auc {best.auc:.3f} is below {target}")
"""


def delays_program() -> Program:
    b = Builder(DELAYS, "months", ("target", "0.75"))
    return b.program(
        b.loop(
            "load(m) for m in months",
            "months",
            "m",
            b.call("load(m)", "m", "@1", spec=StepSpec("load", "m", "load", "f", retries=2)),
            over="months]"[:-1],
        ),
        b.call("concat([load(m) for m in months])", "@1", "flights"),
        b.call("check(flights)", "flights", "report"),
        b.branch(
            "not report.ok",
            "report",
            [
                b.call('notify(f"bad data', "report", None, ordered=True),
                b.glue("return None", "", "@return"),
                b.returns("return None"),
            ],
            labels=("yes", "no"),
            guard=True,
            ordered=True,
        ),
        b.loop(
            "train(flights, kind) for kind in KINDS",
            "",
            "kind",
            b.call(
                "train(flights, kind)",
                "flights kind",
                "@2",
                spec=StepSpec("train", "m", "train", "f", cpu=2, memory_bytes=4 << 30),
            ),
            over="KINDS",
        ),
        b.call("best_of(models)", "@2", "best"),
        b.branch(
            "best.auc >= target",
            "best target",
            [b.call("release(best)", "best", "@return"), b.returns("return release(best)")],
            labels=("yes", "no"),
            guard=True,
        ),
        b.call('notify(f"auc', "best target", None, path="notify.2", ordered=True),
    )


@pytest.fixture
def builder() -> type[Builder]:
    return Builder


@pytest.fixture
def delays() -> Program:
    return delays_program()

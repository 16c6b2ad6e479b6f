"""When slots are held, when they go back, and what of it is on record."""

from __future__ import annotations

from pathlib import Path

import pytest

from weft import limit, step, workflow
from weft.driver.holding import Holding
from weft.driver.ledger import Ledger
from weft.driver.slots import Slots
from weft.lang.compiler import compile_workflow
from weft.machine.events import Acquire, Granted, Instance
from weft.machine.plan import Plan
from weft.program.nodes import Limit


@step
def use(name):
    return name


@workflow
def pooled(name):
    with limit("pool"):
        return use(name)


PLAN = Plan(compile_workflow(pooled).program)
ASKER = Instance(next(node.id for node in PLAN.nodes.values() if isinstance(node, Limit)))


def asks(request: int) -> Acquire:
    return Acquire(request, "pool", 1, ASKER)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("r", PLAN, "local")


@pytest.fixture
def holding(tmp_path: Path, ledger: Ledger) -> Holding:
    return Holding(Slots(tmp_path, {"pool": 1}), ledger)


def recorded(ledger: Ledger) -> list[str]:
    batch = ledger.take(0)
    return [] if batch is None else [entry.kind for entry in batch.entries]


def test_slots_that_are_free_are_held_at_once_and_that_is_not_worth_an_entry(holding, ledger) -> None:
    assert holding.ask(asks(1)) == [Granted(1)]
    assert recorded(ledger) == []


def test_who_waits_for_slots_is_on_record_until_it_has_them(holding, ledger) -> None:
    holding.ask(asks(1))
    assert holding.ask(asks(2)) == []
    assert holding.is_waiting
    assert recorded(ledger) == ["limit.asked"]
    holding.release(1)
    assert holding.turn_over() == [Granted(2)]
    assert recorded(ledger) == ["limit.granted"]


def test_slots_stay_held_while_what_was_called_off_may_be_at_work(holding) -> None:
    holding.ask(asks(1))
    holding.ask(asks(2))
    holding.called_off(7)
    holding.release(1)
    assert holding.turn_over() == []
    holding.ended(7)
    assert holding.turn_over() == [Granted(2)]


def test_a_request_that_is_released_while_it_waits_is_never_granted(holding) -> None:
    holding.ask(asks(1))
    holding.ask(asks(2))
    holding.release(2)
    holding.release(1)
    assert holding.turn_over() == []
    assert not holding.is_waiting

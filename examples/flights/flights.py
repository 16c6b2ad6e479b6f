"""Predict which flights from New York will arrive late, and release the model if it is good enough.

    weft run examples/flights/flights.py months=1,2,3
    weft run examples/flights/flights.py months=1,2,3 damage=2      # month 2 arrives damaged
    weft run examples/flights/flights.py months=1,2,3 target=0.99   # no model is that good

The same function is an ordinary call, too: ``delays([1, 2, 3])``.
"""

from __future__ import annotations

from flightlib.features import add_backlog, clean_month, concat, join_planes, join_weather, split_by_time
from flightlib.models import best_of, evaluate, train
from flightlib.publish import notify, release
from flightlib.quality import check_month, summarise
from flightlib.sources import damage_month, read_month, read_planes, read_weather

from weft import workflow


@workflow
def delays(
    months: list[int],
    target: float = 0.7,
    release_dir: str = "releases/flights",
    damage: int | None = None,
) -> str | None:
    """Return the folder of the released model, or None if there is nothing to release.

    Args:
        months: months of 2013, 1 to 12.
        target: smallest area under the ROC curve, on the later weeks, that is released.
        release_dir: where releases and notifications go.
        damage: a month to damage on its way in, to see what bad data does.
    """
    tables = []
    for month in months:
        table = read_month(month)
        if month == damage:
            table = damage_month(table)
        tables.append(table)

    report = summarise(months, [check_month(table) for table in tables])
    if not report.ok:
        notify(f"bad data ({report}): {' | '.join(report.reasons)}", release_dir)
        return None

    flights = concat([clean_month(table) for table in tables])
    flights = join_weather(add_backlog(flights), read_weather())
    flights = join_planes(flights, read_planes())
    split = split_by_time(flights)

    models = [train(split.train, kind) for kind in ("linear", "forest", "boosting")]
    best = best_of([evaluate(model, split.test) for model in models])
    if best.auc < target:
        notify(
            f"{best.model.kind} has an auc of {best.auc:.3f}, below {target}: nothing released", release_dir
        )
        return None
    return release(best, split, release_dir)

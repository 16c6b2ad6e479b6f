"""Which destinations suffer most in bad weather? A second workflow, made of the same steps.

weft run examples/flights/airports.py months=1,2
"""

from __future__ import annotations

import pandas as pd
from flightlib.features import LATE_MIN, clean_month, concat, join_weather
from flightlib.publish import notify
from flightlib.quality import check_month, summarise
from flightlib.sources import read_airports, read_month, read_weather

from weft import step, workflow


@step
def rank(flights: pd.DataFrame, airports: pd.DataFrame, top: int) -> pd.DataFrame:
    """Compare late arrivals in rain, snow or fog at departure with those in good weather.

    Returns:
        ``top`` rows, the largest ``gap`` first: ``dest``, ``name``, ``flights``, share late in ``good``
        and in ``bad`` weather. Destinations with fewer than 30 flights in either are left out.
    """
    arrived = flights.loc[flights["arr_delay"].notna()]
    bad = ((arrived["precip"] > 0) | (arrived["visib"] < 3)).map({True: "bad", False: "good"})
    late = (arrived["arr_delay"] > LATE_MIN).astype("float64")
    groups = late.groupby([arrived["dest"].astype(str), bad])
    share, count = groups.mean().unstack(), groups.size().unstack(fill_value=0)
    table = share[(count >= 30).all(axis="columns")].rename_axis(columns=None)
    table = table.assign(gap=table["bad"] - table["good"], flights=count.sum(axis="columns"))
    named = table.join(airports.set_index("faa")["name"]).rename_axis("dest").reset_index()
    return named.sort_values("gap", ascending=False, ignore_index=True).head(top)


@workflow
def airports(months: list[int], top: int = 5, release_dir: str = "releases/airports") -> pd.DataFrame | None:
    """Return the ``top`` destinations that bad weather in New York delays most, or None for bad data."""
    tables = [read_month(month) for month in months]
    report = summarise(months, [check_month(table) for table in tables])
    if not report.ok:
        notify(f"bad data ({report}): {' | '.join(report.reasons)}", release_dir)
        return None
    flights = concat([clean_month(table) for table in tables])
    return rank(join_weather(flights, read_weather()), read_airports(), top)

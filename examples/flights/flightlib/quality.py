"""Judge a month of flights before anybody computes with it: schema, missing values, duplicates, ranges."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from weft import step

from .sources import utc_seconds

COLUMNS = [
    *("year", "month", "day", "hour", "minute", "time_hour"),
    *("sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay"),
    *("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance"),
]

# What a value may be, in the unit of its column; a value that is no number counts as out of range.
RANGES: dict[str, tuple[float, float]] = {
    "year": (2013, 2013),
    "month": (1, 12),
    "day": (1, 31),
    "sched_dep_time": (0, 2359),  # HHMM, local
    "dep_delay": (-120, 1800),  # min
    "arr_delay": (-180, 1800),  # min
    "air_time": (10, 800),  # min
    "distance": (10, 6000),  # mi
    "hour": (0, 23),
    "minute": (0, 59),
}
KEY = ["time_hour", "minute", "carrier", "flight", "origin"]
ORIGINS = ("EWR", "JFK", "LGA")

# A flight that was cancelled has no times, so these may be missing more often than the rest.
MISSING_SHARE_MAX = {"dep_time": 0.1, "dep_delay": 0.1, "arr_time": 0.1, "arr_delay": 0.1, "air_time": 0.1}
MISSING_SHARE_MAX_ELSE = 0.02
BAD_SHARE_MAX = 0.001


@dataclass(frozen=True)
class QualityReport:
    """What was found in some rows of flights.

    Attributes:
        rows: rows looked at.
        schema: what is wrong with the columns, as sentences; empty if they are as agreed.
        missing: column -> missing values. ``out_of_range``: column -> values that cannot be.
        duplicates: rows whose flight was there already.
        months_bad: in a report over several months, the reasons of each one that is bad by itself.
        bad_dates: rows whose ``time_hour`` is no date, or another one than ``month`` and ``day`` say.
    """

    rows: int
    schema: tuple[str, ...] = ()
    missing: dict[str, int] = field(default_factory=dict)
    out_of_range: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    bad_dates: int = 0
    months_bad: dict[int, list[str]] = field(default_factory=dict)

    @property
    def reasons(self) -> list[str]:
        """Why the data cannot be used, one sentence each; empty if it can."""
        if self.months_bad:
            return [f"month {month}: {_shorten(why)}" for month, why in self.months_bad.items()]
        found = list(self.schema)
        if self.rows == 0:
            return [*found, "no rows"]
        if self.bad_dates > self.rows * BAD_SHARE_MAX:
            found.append(f"time_hour: {self.bad_dates:,} of {self.rows:,} dates are broken")
        for name, count in self.missing.items():
            if count > self.rows * MISSING_SHARE_MAX.get(name, MISSING_SHARE_MAX_ELSE):
                found.append(f"{name}: {count:,} of {self.rows:,} values are missing")
        for name, count in self.out_of_range.items():
            if count > self.rows * BAD_SHARE_MAX:
                found.append(f"{name}: {count:,} of {self.rows:,} values are out of range")
        if self.duplicates > self.rows * BAD_SHARE_MAX:
            found.append(f"{self.duplicates:,} of {self.rows:,} rows are duplicates")
        return found

    @property
    def ok(self) -> bool:
        """Whether the rows are good enough to learn from."""
        return not self.reasons

    def __str__(self) -> str:
        missing, out = sum(self.missing.values()), sum(self.out_of_range.values())
        return (
            f"{self.rows:,} rows, {missing:,} values missing, {out:,} out of range, "
            f"{self.duplicates:,} duplicate rows, {self.bad_dates:,} broken dates"
        )


@step
def check_month(flights: pd.DataFrame) -> QualityReport:
    """Count what is wrong with one month of flights as read, all columns text.

    A frame with the wrong columns is judged by its columns alone: there is nothing else to count.
    """
    if (schema := _wrong_columns(list(flights.columns))) or flights.empty:
        return QualityReport(rows=len(flights), schema=tuple(schema))
    missing = flights.isna().sum()
    out_of_range = {name: _count_outside(flights[name], *limits) for name, limits in RANGES.items()}
    out_of_range["origin"] = int((~flights["origin"].isin(ORIGINS)).sum())
    return QualityReport(
        rows=len(flights),
        missing={str(name): int(count) for name, count in missing.items() if count},
        out_of_range={name: count for name, count in out_of_range.items() if count},
        duplicates=int(flights.duplicated(KEY).sum()),
        bad_dates=_count_bad_dates(flights),
    )


@step
def summarise(months: list[int], reports: list[QualityReport]) -> QualityReport:
    """Return one report over all months, which is bad if one of them is, however many are good."""
    months_bad = {month: one.reasons for month, one in zip(months, reports, strict=True) if not one.ok}
    return QualityReport(
        rows=sum(one.rows for one in reports),
        months_bad=months_bad,
        missing=_add_up([one.missing for one in reports]),
        out_of_range=_add_up([one.out_of_range for one in reports]),
        duplicates=sum(one.duplicates for one in reports),
        bad_dates=sum(one.bad_dates for one in reports),
    )


def _shorten(reasons: list[str], most: int = 4) -> str:
    rest = len(reasons) - most
    return "; ".join(reasons[:most]) + (f"; and {rest} more" if rest > 0 else "")


def _wrong_columns(columns: list[str]) -> list[str]:
    lost = [name for name in COLUMNS if name not in columns]
    extra = [name for name in columns if name not in COLUMNS]
    sentences = [f"column {name} is missing" for name in lost]
    return sentences + [f"column {name} is not known" for name in extra]


def _count_outside(values: pd.Series, low: float, high: float) -> int:
    numbers = pd.to_numeric(values, errors="coerce")
    return int((values.notna() & ~numbers.between(low, high)).sum())


def _count_bad_dates(flights: pd.DataFrame) -> int:
    """A date is broken if it cannot be read, or if New York's day then was not the one of the row."""
    local = utc_seconds(flights["time_hour"]).dt.tz_convert("America/New_York")
    month, day = (
        pd.to_numeric(flights["month"], errors="coerce"),
        pd.to_numeric(flights["day"], errors="coerce"),
    )
    return int((local.isna() | (local.dt.month != month) | (local.dt.day != day)).sum())


def _add_up(counts: list[dict[str, int]]) -> dict[str, int]:
    names = sorted({name for one in counts for name in one})
    return {name: sum(one.get(name, 0) for one in counts) for name in names}

"""Turn checked text into a table to learn from. Every feature is known before the scheduled departure.

Actual times and delays of a flight itself are its future: they make the label and are used for nothing
else, but for flights that had *taken off* before the flight in question was due.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from weft import step

from .sources import utc_seconds

LATE_MIN = 15  # a flight is late when it arrives more than so many minutes after plan

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
NUMBERS = [
    "due_min",
    "weekday",
    "distance",
    "planned_min",
    "backlog_min",
    "backlog_late",
    "age",
    "seats",
    "engines",
]
CATEGORIES = ["origin", "carrier", "dest"]
FEATURES = [*CATEGORIES, *NUMBERS, *WEATHER]

BACKLOG_WINDOW = "2h"
WEATHER_AGE_MAX = pd.Timedelta(hours=6)


@dataclass(frozen=True)
class Split:
    """A table cut in two by time.

    Attributes:
        train: all rows due before ``cut``. ``test``: the rest, so that a model is judged on its future.
        cut: UTC.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    cut: pd.Timestamp


@step
def clean_month(flights: pd.DataFrame) -> pd.DataFrame:
    """Return a checked month in small types: a quarter of the text's size.

    Returns:
        One row a flight, sorted by ``due`` (UTC, the scheduled departure): categories ``origin``,
        ``carrier``, ``dest``; text ``tailnum``; float32 ``due_min`` (minutes after local midnight),
        ``weekday`` (0 = Monday), ``distance`` [mi], ``planned_min`` (gate to gate by plan, in local clock times),
        ``dep_delay`` and ``arr_delay`` [min, missing where cancelled].
    """
    hour = utc_seconds(flights["time_hour"])
    minute = pd.to_numeric(flights["minute"])
    due = (hour + pd.to_timedelta(minute, unit="min")).astype("datetime64[s, UTC]")
    leaves, arrives = _minutes_of_day(flights["sched_dep_time"]), _minutes_of_day(flights["sched_arr_time"])
    numbers = {name: pd.to_numeric(flights[name]) for name in ("distance", "dep_delay", "arr_delay")}
    numbers["due_min"] = leaves
    numbers["weekday"] = due.dt.tz_convert("America/New_York").dt.day_of_week
    numbers["planned_min"] = (arrives - leaves) % 1440
    columns = {"due": due, **{name: values.astype("float32") for name, values in numbers.items()}}
    columns |= {name: flights[name].astype("category") for name in CATEGORIES}
    return pd.DataFrame({**columns, "tailnum": flights["tailnum"]}).sort_values("due", ignore_index=True)


@step
def concat(months: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the months below one another, sorted by ``due``; categories become their union."""
    whole = pd.concat(months, ignore_index=True)
    whole[CATEGORIES] = whole[CATEGORIES].astype("category")
    return whole.sort_values("due", kind="stable", ignore_index=True)


@step
def join_weather(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Add to each flight the weather known at its airport at or before the hour of its departure.

    An observation older than six hours counts as none. ``flights`` is sorted by ``due``, ``weather`` by
    ``known_at``; the rows and their order stay.
    """
    left = flights.assign(hour=flights["due"].dt.floor("h"), origin=flights["origin"].astype(str))
    right = weather.assign(origin=weather["origin"].astype(str))
    joined = pd.merge_asof(
        left,
        right,
        left_on="hour",
        right_on="known_at",
        by="origin",
        direction="backward",
        tolerance=WEATHER_AGE_MAX,
    )
    return joined.assign(origin=flights["origin"]).drop(columns="hour")


@step
def join_planes(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """Add each flight's plane: ``seats``, ``engines`` and ``age`` [years]; missing where it is not registered."""
    joined = flights.merge(planes, on="tailnum", how="left", validate="many_to_one")
    joined["age"] = (joined["due"].dt.year - joined.pop("built")).astype("float32")
    return joined.drop(columns="tailnum")


@step
def add_backlog(flights: pd.DataFrame) -> pd.DataFrame:
    """Add how late the airport is running just before each flight is due.

    ``backlog_min`` is the mean departure delay [min] of the flights that took off from the same airport
    in the two hours up to its last take-off, ``backlog_late`` the share of them later than 15 minutes. A departure counts
    from the minute it happened, strictly before the flight is due: what is not known yet is not used.
    """
    gone = flights.loc[flights["dep_delay"].notna(), ["origin", "due", "dep_delay"]]
    gone = gone.assign(
        origin=gone["origin"].astype(str),
        left_at=gone["due"] + pd.to_timedelta(gone["dep_delay"], unit="min").astype("timedelta64[s]"),
        late=(gone["dep_delay"] > LATE_MIN).astype("float32"),
    ).sort_values("left_at")
    windows = (
        gone.set_index("left_at").groupby("origin")[["dep_delay", "late"]].rolling(BACKLOG_WINDOW).mean()
    )
    # Of departures in the same minute the last one's window holds them all.
    backlog = windows.reset_index().drop_duplicates(["origin", "left_at"], keep="last").sort_values("left_at")
    backlog["left_at"] = backlog["left_at"].astype(flights["due"].dtype)
    known = pd.merge_asof(
        flights[["due", "origin"]].assign(origin=flights["origin"].astype(str)),
        backlog,
        left_on="due",
        right_on="left_at",
        by="origin",
        allow_exact_matches=False,
        tolerance=pd.Timedelta(BACKLOG_WINDOW),
    )
    return flights.assign(
        backlog_min=known["dep_delay"].astype("float32"), backlog_late=known["late"].astype("float32")
    )


@step
def split_by_time(flights: pd.DataFrame, test_share: float = 0.25) -> Split:
    """Cut the flights that arrived at a moment in time: earlier ones to learn from, later ones to judge by.

    Args:
        flights: sorted by ``due``.
        test_share: share of the time span, not of the rows, that is kept for judging.

    Raises:
        ValueError: one side would be empty.
    """
    arrived = flights.loc[flights["arr_delay"].notna()]
    table = arrived[["due", *FEATURES]].assign(late=(arrived["arr_delay"] > LATE_MIN).to_numpy())
    first, last = table["due"].iloc[0], table["due"].iloc[-1]
    cut = (first + (last - first) * (1 - test_share)).floor("D")
    split = Split(
        train=table[table["due"] < cut].reset_index(drop=True),
        test=table[table["due"] >= cut].reset_index(drop=True),
        cut=cut,
    )
    if split.train.empty or split.test.empty:
        raise ValueError(f"a cut at {cut} leaves one side of {len(table):,} flights empty")
    return split


def _minutes_of_day(clock: pd.Series) -> pd.Series:
    """Return minutes after midnight for a clock written as HHMM."""
    number = pd.to_numeric(clock)
    return number // 100 * 60 + number % 100

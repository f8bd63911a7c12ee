"""Forecast rows over Spark: they add up, say what the numerical core says, and know nothing of the day after."""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from interest_model.config import load_settings
from interest_model.errors import DataError
from interest_model.interest import forecast_models
from interest_model.interest.forecast_models import Topics
from interest_model.recommend.histories import from_arrow
from interest_model.recommend.model_rows import to_rows, version_of
from interest_model.recommend.popularity import ItemCounts

pytestmark = pytest.mark.spark
AT_DAY = 20_454.0
SCHEMA = "user_id string, items array<int>, days array<double>, weights array<double>"
QUANTILES = ("q10", "q50", "q90", "interval_low", "interval_high")
SETTINGS = load_settings(overrides=["forecast.steps=20", "forecast.training_cuts=3"])


@pytest.fixture(scope="module")
def topics() -> Topics:
    """Three tiers over 12 items: 2, 4 and 6 topics; two items of each narrowest one."""
    leaves = sp.csr_matrix(np.repeat(np.eye(6, dtype=np.float32), 2, axis=0))
    to_middle, to_top = np.array([0, 0, 1, 2, 2, 3]), np.array([0, 0, 1, 1])
    middle = sp.csr_matrix(leaves @ np.eye(4, dtype=np.float32)[to_middle])
    top = sp.csr_matrix(middle @ np.eye(2, dtype=np.float32)[to_top])
    ids = [np.array([f"{tier}{k}" for k in range(n)], dtype=object) for tier, n in (("a", 2), ("b", 4), ("c", 6))]
    days = np.arange(AT_DAY - 120, AT_DAY, 2.5)
    counts = ItemCounts((np.arange(len(days)) * 5 % 12).astype(np.int32), days, np.ones(len(days)))
    return Topics(ids, [np.full(2, -1), to_top, to_middle], [top, middle, leaves], counts)


def users(spark, n, until=AT_DAY):
    """n users who keep to two items of their own for 120 days; the last has no event, events end at `until`."""
    rng = np.random.default_rng(4)
    rows = []
    for user in range(n):
        days = np.sort(rng.uniform(AT_DAY - 120, AT_DAY, 60))
        items = rng.choice([user % 12, (user * 5 + 1) % 12], 60)
        kept = (days < until) & (user < n - 1)
        rows.append((f"u{user:02d}", items[kept].tolist(), days[kept].tolist(), [1.0] * int(kept.sum())))
    return spark.createDataFrame(rows, SCHEMA)


@pytest.fixture(scope="module")
def fitted(spark, topics):
    from interest_model.interest.forecasts import fit_models, sampled_users

    sampled = from_arrow(sampled_users(users(spark, 40), 1_000, 7).orderBy("user_id").toArrow())
    assert sampled.n_users == 40 and sampled_users(users(spark, 40), 10, 7).count() < 30
    return fit_models(sampled, topics, AT_DAY, SETTINGS.forecast, SETTINGS.interest)


def rows_of(spark, topics, arrays, n=12):
    from interest_model.interest.forecasts import share_rows
    from interest_model.interest.states import state_settings

    frame = users(spark, n).repartition(3)
    made = share_rows(frame, topics, AT_DAY, SETTINGS.forecast, state_settings(SETTINGS.interest), arrays)
    return made.collect()


@pytest.mark.parametrize("learned", [True, False])
def test_each_tier_sums_to_one_and_children_to_their_parent(spark, topics, fitted, learned):
    rows = rows_of(spark, topics, fitted if learned else {})
    share = {(row["user_id"], row["days_ahead"], row["tier"], row["topic_id"]): row["share"] for row in rows}
    assert len(share) == len(rows) and {key[0] for key in share} == {f"u{user:02d}" for user in range(11)}
    assert {key[1] for key in share} == {1, 7, 28}
    totals: dict[tuple, float] = {}
    for (user, days, tier, _), value in share.items():
        totals[user, days, tier] = totals.get((user, days, tier), 0.0) + value
    assert len(totals) == 11 * 3 * 3
    assert all(total == pytest.approx(1.0, abs=1e-6) for total in totals.values())
    for (user, days, tier, topic), value in share.items():
        if tier < 3 and not topic.startswith("rest"):
            place = list(topics.ids[tier - 1]).index(topic)
            names = topics.ids[tier][topics.parents[tier] == place].tolist() + [f"rest of {topic}"]
            assert sum(share.get((user, days, tier + 1, name), 0.0) for name in names) == pytest.approx(value, abs=1e-6)


def test_quantiles_are_there_with_a_model_and_only_on_topics(spark, topics, fitted):
    for row in rows_of(spark, topics, fitted):
        if row["topic_id"].startswith("rest"):
            assert all(row[name] is None for name in QUANTILES)
        else:
            assert 0 <= row["q10"] <= row["q50"] <= row["q90"] <= 1
            assert row["q10"] <= row["interval_low"] <= row["interval_high"] <= row["q90"]
            assert row["q10"] == 0 or row["interval_high"] == row["q90"]
    assert all(row[name] is None for row in rows_of(spark, topics, {}) for name in QUANTILES)


def test_models_of_another_revision_are_named(spark, fitted):
    from interest_model.interest.forecasts import load_models

    def stored(arrays):
        return spark.createDataFrame(to_rows(arrays, date(2026, 1, 9), "forecast"))

    arrays, version = load_models(stored(fitted))
    assert arrays.keys() == fitted.keys() and version == version_of(fitted, "forecast")
    with pytest.raises(DataError, match="table forecast_models: forecast-.* another revision(?s:.*)run the step"):
        load_models(stored(fitted | {"1/spread.b2": fitted["1/spread.b2"][:3]}))


def test_who_keeps_to_two_topics_is_expected_to_go_on(spark, topics, fitted):
    week = [row for row in rows_of(spark, topics, fitted) if row["days_ahead"] == 7]
    share = {(row["user_id"], row["topic_id"]): row["share"] for row in week}
    assert all(share[f"u{user:02d}", f"c{user % 12 // 2}"] > 0.3 for user in range(11))


def test_models_know_nothing_of_later_events(spark, topics):
    from interest_model.interest.forecasts import fit_models

    earlier = AT_DAY - 30

    whole, cut = (from_arrow(users(spark, 20, until).orderBy("user_id").toArrow()) for until in (AT_DAY, earlier))
    before = topics.counts.days < earlier
    counts = ItemCounts(*(column[before] for column in topics.counts))
    one = fit_models(whole, topics, earlier, SETTINGS.forecast, SETTINGS.interest)
    other = fit_models(cut, topics._replace(counts=counts), earlier, SETTINGS.forecast, SETTINGS.interest)
    assert one.keys() == other.keys() and len(one) > 40
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_returns_grow_with_the_horizon_and_are_null_without_a_model(spark, topics, fitted):
    from interest_model.interest.forecasts import return_rows

    rows = return_rows(users(spark, 12).repartition(2), topics, AT_DAY, SETTINGS.forecast, fitted).collect()
    chance = {(row["user_id"], row["days_ahead"]): row["return_probability"] for row in rows}
    assert len(chance) == 36 and all(chance[f"u{u:02d}", 1] <= chance[f"u{u:02d}", 28] for u in range(11))
    assert chance["u11", 7] is None  # no event: nothing to go by
    assert all(chance[f"u{u:02d}", 28] > 0.8 for u in range(11))  # sixty events in 120 days
    none = return_rows(users(spark, 3), topics, AT_DAY, SETTINGS.forecast, {}).collect()
    assert all(row["return_probability"] is None and row["expected_events"] is None for row in none)


def test_a_young_log_has_no_models(topics):
    few = from_arrow(pa.table({"user_id": ["u"], "items": [[1]], "days": [[AT_DAY - 1]], "weights": [[1.0]]}))
    from interest_model.interest.forecasts import fit_models
    from interest_model.interest.states_of_users import StateSettings

    assert fit_models(few, topics, AT_DAY, SETTINGS.forecast, SETTINGS.interest) == {}
    assert forecast_models.forecast(few, topics, AT_DAY, (7.0,), {}, StateSettings())[0].shares[0].expected.size == 1


def test_a_log_of_seven_weeks_knows_weeks_but_not_months(topics):
    from interest_model.interest.forecasts import fit_models
    from interest_model.interest.states_of_users import StateSettings

    days = [(AT_DAY - 50 + np.arange(50)).tolist()] * 20
    items = [[user % 12] * 50 for user in range(20)]
    names = [f"u{user:02d}" for user in range(20)]
    weeks = pa.table({"user_id": names, "items": items, "days": days, "weights": [[1.0] * 50] * 20})
    users = from_arrow(weeks)
    arrays = fit_models(users, topics, AT_DAY, SETTINGS.forecast, SETTINGS.interest)
    made = forecast_models.forecast(users, topics, AT_DAY, (1.0, 7.0, 28.0), arrays, StateSettings())
    assert (made[1].came > 0.5).all() and np.isnan(made[2].came).all()
    assert all(np.isfinite(one.shares[2].expected).all() for one in made)


def test_models_are_kept_until_they_are_due_but_for_those_of_another_revision_or_reading(spark, fitted, monkeypatch):
    from jobs import forecast_models as job

    settings = load_settings(overrides=["forecast.steps=20", "forecast.training_cuts=3", "forecast.refit_days=7"])
    replaced = []

    class Refitted(Exception):
        pass

    def known_events():
        raise Refitted

    def run(arrays, day=date(2026, 1, 12)):
        rows = spark.createDataFrame(to_rows(arrays, date(2026, 1, 9), "forecast"))
        night = SimpleNamespace(
            settings=settings, run_date=day, read=lambda name: rows, known_events=known_events,
            replace_days=lambda name, frame: replaced.append((name, frame.count())),
        )  # fmt: skip
        job.run(night)

    run(fitted)
    assert replaced == [("forecast_models", 0)]  # the last ones stand
    reach = fitted["returns/reach"] + np.array([0.0, 0.0, 1.0])
    cut = {name: array[:3] for name, array in fitted.items() if name == "1/spread.b2"}
    for changed in (fitted | cut, fitted | {"returns/reach": reach}):
        with pytest.raises(Refitted):
            run(changed)
    with pytest.raises(Refitted):
        run(fitted, date(2026, 1, 16))

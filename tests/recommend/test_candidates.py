import numpy as np
import pyarrow as pa
import pytest

from interest_model.recommend import candidates, fit, weights
from interest_model.recommend.histories import between, keep
from tests.recommend.worlds import checkerboard, counts_of, fitted, histories, ranker_settings


def rows_of(world, at_day=40.0):
    settings = ranker_settings()
    model = fitted(world, 40, at_day)
    first = np.full(40, np.inf)
    np.minimum.at(first, world.items, world.days)
    nights = fit.tuning_nights(model, candidates.Past(counts_of(world, at_day), first), at_day, settings)
    return candidates.tuning_rows(world, nights), len(settings.popularity_half_lives_days)


def test_a_row_is_a_user_with_history_who_acted_in_the_day_after():
    world = checkerboard()
    rows, _ = rows_of(world)
    expected = set()
    for night in range(26, 40):
        for user, name in enumerate(world.user_ids):
            days = world.days[world.indptr[user] : world.indptr[user + 1]]
            if (days < night).any() and ((days >= night) & (days < night + 1)).any():
                expected.add((float(night), name))
    assert set(zip(rows.column("night").to_pylist(), rows.column("user_id").to_pylist(), strict=True)) == expected


def test_tuning_reads_nothing_from_after_the_day_it_judges():
    """What happens after the last judged day must not move a row: here the last cut's own members are fixed."""
    world = checkerboard()
    settings = ranker_settings()
    model = fitted(world, 40, 30.0)
    first = np.full(40, np.inf)
    np.minimum.at(first, world.items, world.days)
    counts = counts_of(world, 30.0)
    night = candidates.night_at(model, candidates.Past(counts, first), 30.0, 1.0, settings)
    known = keep(world, world.days < 31.0)
    whole, cut = candidates.tuning_rows(world, [night]), candidates.tuning_rows(known, [night])
    assert whole.equals(cut)
    fresh = counts_of(between(world, -np.inf, 30.0), 30.0)
    same = candidates.night_at(model, candidates.Past(fresh, first), 30.0, 1.0, settings)
    assert np.array_equal(same.popularity, night.popularity)


def test_features_survive_the_arrow_rows():
    rows, n_half_lives = rows_of(checkerboard())
    tuning = weights.from_rows(pa.Table.from_batches([rows]), n_half_lives)
    assert tuning.hits.shape[0] == rows.num_rows
    assert tuning.popularity.max() == pytest.approx(1.0)
    assert (tuning.hits.sum(axis=1) <= tuning.n_repeat).all()
    assert not (tuning.hits & ~tuning.real).any()
    assert (tuning.n_novel <= tuning.n_repeat).all()


def test_no_user_gives_no_row():
    rows, _ = rows_of(checkerboard())
    night = fit.tuning_nights(
        fitted(checkerboard(), 40, 40.0),
        candidates.Past(counts_of(checkerboard(), 40.0), np.zeros(40)),
        40.0,
        ranker_settings(),
    )
    assert candidates.tuning_rows(histories({"a": []}), night).num_rows == 0
    assert candidates.tuning_rows(histories({"a": []}), night).schema == rows.schema


def test_pool_holds_popular_and_newest_items_known_at_the_time():
    popularity = np.array([[5.0], [4.0], [0.0], [0.0], [0.0]])
    first_days = np.array([1.0, 1.0, 8.0, 9.0, 11.0])
    assert candidates.candidate_pool(popularity, first_days, 10.0, 4).tolist() == [0, 1, 2, 3]
    assert candidates.candidate_pool(popularity, first_days, 10.0, 2).tolist() == [0, 3]


def test_youth_by_hand():
    assert candidates.youth(np.array([10.0, 7.0, 11.0]), 10.0).tolist() == [1.0, 0.5, 0.0]

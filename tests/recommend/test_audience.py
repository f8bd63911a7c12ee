"""Whom an item reaches, and how near a user comes to them."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interest_model.recommend import audience, fit
from interest_model.recommend.audience import Moment
from interest_model.recommend.blend import Model
from interest_model.recommend.context import context_at
from interest_model.recommend.features import FEATURES, pair_features
from interest_model.recommend.histories import Histories, between, take
from tests.recommend.worlds import checkerboard, fitted, histories, ranker_settings

AT, NEW = 40.0, 40  # the moment, and an item that came in two days before it
AXES = np.array([[1.0, 0.0], [0.0, 1.0]])  # items 0 and 1 are a taste of their own each, item 2 is new


@pytest.fixture(scope="module")
def model() -> Model:
    return fitted(with_a_new_item(), 41, AT)


def at_day_10(items=(0, 1, 2)) -> Moment:
    return Moment(10.0, 3, np.array(items, np.int32), np.array([0, 1], np.int32), AXES, 1e9, 200)


def with_a_new_item() -> Histories:
    """The checkerboard, and every third of the users who take even items took the new one too."""
    whole = checkerboard()
    users = {}
    for user, name in enumerate(whole.user_ids):
        mine = slice(*whole.indptr[user : user + 2])
        users[name] = list(zip(whole.items[mine].tolist(), whole.days[mine].tolist(), strict=True))
        users[name] += [(NEW, 38.5)] if user % 6 == 0 else []
    return histories({name: sorted(events, key=lambda event: event[1]) for name, events in users.items()})


def test_an_audience_by_hand():
    """Item 2 was taken by a user of item 0 today, item 1 by its only user 4 days ago: half with the short half life."""
    known = histories({"a": [(0, 2.0), (2, 10.0 - 1e-6)], "b": [(1, 6.0)]})
    (one,) = audience.of_users(known, [at_day_10()])
    weight = np.array([0.5**2, 0.5, 1.0])  # of items 0, 1 and 2 with a half life of 4 days
    tasted = np.array([[0.25, 0.0], [0.0, 0.5], [1.0, 0.0]])
    everybody = tasted.sum(axis=0) / weight.sum()
    expected = (tasted + 3 * everybody) / (weight + 3)[:, None] - everybody
    assert one.everybody[0] == pytest.approx(everybody, abs=1e-3)
    assert one.means[0] == pytest.approx(expected, abs=1e-3)
    assert one.items.tolist() == [0, 1, 2] and one.means.shape == (2, 3, 2)


def test_a_taste_has_unit_length_and_counts_an_item_once():
    known = histories({"a": [(0, 1.0), (0, 2.0), (0, 3.0), (1, 9.0)], "b": [(2, 1.0)], "c": []})
    assert audience.tastes(known, at_day_10()) == pytest.approx(
        np.array([[0.5**0.5, 0.5**0.5], [0, 0], [0, 0]]), abs=2**-12
    )


@given(st.lists(st.integers(0, 3), min_size=60, max_size=60))
def test_sums_are_the_same_to_the_last_bit_however_users_are_spread(model, parts):
    known = with_a_new_item()
    moments = [audience.moment(model, model.audience.items, AT), audience.moment(model, model.audience.items, 20.0)]
    spread = [take(known, np.flatnonzero(np.array(parts) == part)) for part in range(4)]
    rows = pa.Table.from_batches([audience.sums(some, moments) for some in spread])
    for one, whole in zip(audience.audiences(rows, moments), audience.of_users(known, moments), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, whole, strict=True))
    assert audience.audiences(pa.Table.from_batches([audience.added(rows)]), moments)[0].means.any()


def test_a_new_item_is_for_those_whom_it_reaches(model):
    """It has no factors, for it came in after everything that they know, or too few users; its audience has a taste."""
    known = with_a_new_item()
    context = context_at(known, model, AT)
    rows = np.arange(known.n_users)
    values = dict(zip(FEATURES, pair_features(context, model, rows, np.full(len(rows), NEW)).T, strict=True))
    others = rows % 6 != 0
    for name in audience.FEATURES:
        assert (values[name][others & (rows % 2 == 0)] > 0).all() and (values[name][rows % 2 == 1] < 0).all()
    assert (np.abs(values["audience_cosine_4_days"]) <= 1 + 1e-6).all()


def test_what_comes_after_the_moment_changes_nothing(model):
    known, moments = with_a_new_item(), [audience.moment(model, model.audience.items, 20.0)]
    early = audience.of_users(between(known, -np.inf, 20.0), moments)[0]
    assert early.means.any() and not audience.of_users(between(known, 20.0, np.inf), moments)[0].means.any()
    assert all(np.array_equal(a, b) for a, b in zip(audience.of_users(known, moments)[0], early, strict=True))


def test_without_audiences_or_a_taste_nothing_is_said(model):
    known = with_a_new_item()
    columns = [FEATURES.index(name) for name in audience.FEATURES]
    none = fitted(known, 41, AT, audience_items=0)
    said = pair_features(context_at(known, none, AT), none, np.arange(60), np.zeros(60, np.int32))[:, columns]
    assert not len(none.audience.items) and not said.any()
    stranger = histories({"stranger": []})
    said = pair_features(context_at(stranger, model, AT), model, np.zeros(1, np.int64), np.zeros(1, np.int32))
    assert not said[:, columns].any()


def test_an_audience_travels_with_its_model(model):
    again = Model.from_arrays(model.to_arrays())
    assert all(np.array_equal(a, b) for a, b in zip(again.audience, model.audience, strict=True))
    assert NEW in again.audience.items and again.audience.means.any()


def test_where_no_audience_is_wanted_no_user_is_asked(model):
    assert fit.reached([(AT, model)], None, None, ranker_settings(audience_items=0)) == [model]

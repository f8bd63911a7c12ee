"""Own items behind a row: the largest shares of its member's score, found in bounded memory."""

import dataclasses

import numpy as np
import pytest

from interest_model.recommend import evidence
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.context import context_at
from interest_model.recommend.histories import between
from tests.recommend.worlds import checkerboard, fitted

NAMES = ("transitions", "lift", "ease", "factors", "content", "own", "own_recent")
N_ITEMS = 40


@pytest.fixture(scope="module")
def asked():
    """A context of which only the latest 6 events of a user are read, its model, and rows of every origin."""
    world = between(checkerboard(60, N_ITEMS, 38), -np.inf, 40.0)
    vectors = np.random.default_rng(2).normal(size=(N_ITEMS, 4)).astype(np.float32)
    model = dataclasses.replace(fitted(world, N_ITEMS, 40.0, repeats=True, vectors=vectors), history_length=np.array(6))
    rng = np.random.default_rng(3)
    users = np.sort(rng.integers(world.n_users, size=500))
    rows = users, rng.integers(N_ITEMS, size=500), rng.choice([MEMBERS.index(name) for name in NAMES], 500)
    return context_at(world, model, 40.0), model, rows


def one_by_one(context, model, rows):
    """What speaking_for gives, row by row from the members' own numbers."""
    found, histories = [], context.histories
    own = evidence._own_items(context, model)
    for user, item, origin in zip(*rows, strict=True):
        name = MEMBERS[origin]
        counting, counted = own.counting(name)
        here = np.flatnonzero(counting.users == user)
        said = evidence.links(model, name, counting.items[here], np.full(len(here), item)) * counted[here]
        best = here[np.argsort(-said, kind="stable")][:3]
        best = best[np.sort(-said, kind="stable")[:3] < 0]
        events = slice(histories.indptr[user], histories.indptr[user + 1])
        days = [histories.days[events][histories.items[events] == one].max() for one in counting.items[best]]
        assert days == counting.last_days[best].tolist()
        found.append([*counting.items[best].tolist(), -1, -1, -1][:3])
    return found


@pytest.mark.parametrize("at_once", [evidence._PAIRS_AT_ONCE, 9])
def test_the_items_named_are_those_that_add_most_whatever_is_held_at_once(asked, at_once, monkeypatch):
    monkeypatch.setattr(evidence, "_PAIRS_AT_ONCE", at_once)
    because, days = evidence.speaking_for(*asked)
    assert because.tolist() == one_by_one(*asked)
    assert (because >= 0).any(axis=1).mean() > 0.3
    assert ((because >= 0) == ~np.isnan(days)).all()


def test_pairs_at_once_are_few_and_only_of_events_that_count(asked, monkeypatch):
    """A user may have thousands of own items, but most members read the latest history_length events only."""
    context, model, (users, items, origins) = asked
    real, asked_for = evidence.links, []
    monkeypatch.setattr(evidence, "_PAIRS_AT_ONCE", 9)
    monkeypatch.setattr(evidence, "links", lambda *given: asked_for.append(len(given[2])) or real(*given))
    evidence.speaking_for(context, model, (users, items, origins))
    assert max(asked_for) <= 9 + 6
    of_own = np.isin(origins, [MEMBERS.index("own"), MEMBERS.index("own_recent")]).sum()
    assert sum(asked_for) <= of_own + 6 * (len(users) - of_own)
    assert context.histories.lengths.min() == 10


def test_an_event_of_no_weight_dates_an_item_only_where_there_is_no_other(asked):
    context, model, _ = asked
    starts, ends = context.histories.indptr[:-1], context.histories.indptr[1:] - 1
    items, weights = context.histories.items.copy(), np.ones(len(context.histories.days), np.float32)
    items[ends[::2]] = items[starts[::2]]  # every other user came back to the first item
    weights[ends] = 0.0
    histories = context.histories._replace(items=items, weights=weights)
    changed = evidence._own_items(context._replace(histories=histories), model)
    dated = dict(zip(zip(changed.users.tolist(), changed.items.tolist(), strict=True), changed.last_days, strict=True))
    moved = 0
    for user, end in enumerate(ends):
        same = np.flatnonzero(histories.items[histories.indptr[user] : end] == histories.items[end])
        expected = histories.days[histories.indptr[user] + same[-1]] if len(same) else histories.days[end]
        assert dated[user, histories.items[end]] == expected
        moved += len(same) > 0
    assert 0 < moved < len(ends)

"""What the boosted ranker reads of a user and a candidate item: one row of numbers per pair. No Spark."""

import numpy as np

from interest_model.recommend import audience
from interest_model.recommend.attributes import attribute_lifts
from interest_model.recommend.blend import ITEM_HALF_LIVES_DAYS, PERSONAL_MEMBERS, Collaborative, Model
from interest_model.recommend.context import Context
from interest_model.recommend.histories import Histories, latest
from interest_model.recommend.interests import of_items
from interest_model.recommend.popularity import ItemCounts, decayed
from interest_model.recommend.sparse_scores import lookup

_ITEM_NAMES = (
    *(f"popularity_{half_life:g}_days" for half_life in ITEM_HALF_LIVES_DAYS),
    "rise_month", "rise_week", "age_days", "silent_days", "users", "repeat_rate", "price",
)  # fmt: skip
_OWN_NAMES = ("own_days", "own_share", "own_last_days", "own_first_days", "own_gaps", "own_60_days")
_USER_NAMES = ("user_days", "user_last_days", "user_first_days", "taste_age", "taste_users", "taste_price")
_MATCH_NAMES = ("age_match", "users_match", "price_match")
ATTRIBUTE_FEATURES = ("price", "taste_price", "price_match", "attribute_lift")
_INTEREST_NAMES = ("interest_lift", "interest_trend", "interest_rise")
FEATURES = (
    *_ITEM_NAMES, *_OWN_NAMES, *_USER_NAMES, *_MATCH_NAMES, *PERSONAL_MEMBERS, "ease_rank", "lift_rank",
    *_INTEREST_NAMES, "attribute_lift", *audience.FEATURES,
)  # fmt: skip
"""popularity_*: ln of decayed counts over the largest; rise_month: ln popularity of 7 against 112 days, rise_week:
1 against 14; age_days, silent_days: ln(1 + days since the item was first and last taken); users: ln(1 + its users);
repeat_rate: share of them who took it on several days; price: ln(1 + price). own_days: days on which the user took
the item, own_share: of all the user's days; own_last_days, own_first_days: ln(1 + age), -1 where never; own_gaps:
age of the last in mean gaps between the user's own, -1 with fewer than two; own_60_days: events with a half life of
60 days. user_days: days on which the user acted; user_last_days, user_first_days: ln(1 + age). taste_age: mean over
the user's events (half life 60 days) of ln(1 + the item's age when it was taken): who follows what is new has a
small one; taste_users, taste_price: the same of users and price; *_match: age_days, users and price minus the
user's taste. The members' scores; ease_rank, lift_rank: ln(rank) among the candidates at hand: in lessons all that a
member names, seen items among them, of a list those that trees are asked about (ranked alike in both, lists were level
or worse: docs/experiments.md). interest_*: see interests.of_items; attribute_lift: see attributes; audience_*: see
audience. NaN where a price is not known.
own_*, user_days, user_last_days and user_first_days read all events of a user, tastes and attribute_lift the latest
history_length."""

TREE_FEATURES = (*FEATURES, "blend", "blend_rank")
"""What the boosted ranker reads: beside FEATURES ln of the blend's score, and of its rank among the candidates."""

_FLOOR = 1e-6
_OWN_HALF_LIFE_DAYS = 60.0
_TASTE = [_ITEM_NAMES.index(name) for name in ("age_days", "users", "price")]


def repeaters(histories: Histories, n_items: int) -> np.ndarray:
    """(n_items,) users of `histories` who took the item on more than one UTC day."""
    pairs = np.unique(_user_item_days(histories, n_items)[:2], axis=1, return_counts=True)
    return np.bincount(pairs[0][1][pairs[1] > 1], minlength=n_items).astype(np.float64)


def _user_item_days(histories: Histories, n_items: int) -> np.ndarray:
    """(3, d) int64 distinct user, item, UTC day, ascending."""
    days = np.floor(histories.days).astype(np.int64)
    first = int(days.min(initial=0))
    span = int(days.max(initial=0)) - first + 1
    keys = np.unique((histories.rows * n_items + histories.items) * span + (days - first))
    return np.stack([keys // span // n_items, keys // span % n_items, keys % span + first])


def item_facts(
    counts: ItemCounts, first_days: np.ndarray, prices: np.ndarray, learned: Collaborative, at_day: float
) -> np.ndarray:
    """(n, f) float32: what is known of each item at a moment, from consumption before it; columns as _ITEM_NAMES.
    prices (n,): ln(1 + price)."""
    n = len(first_days)
    popularity = decayed(counts, n, at_day, ITEM_HALF_LIVES_DAYS)
    logs = np.log(popularity / np.maximum(popularity.max(axis=0, initial=0.0), 1e-30) + _FLOOR)
    column = dict(zip(ITEM_HALF_LIVES_DAYS, logs.T, strict=True))
    last = np.full(n, -np.inf)
    known = counts.days < at_day
    np.maximum.at(last, counts.items[known], counts.days[known])
    users, repeated = learned.item_users, learned.item_repeaters
    everyone = repeated.sum() / max(users.sum(), 1.0)
    facts = [
        logs,
        column[7.0] - column[112.0],
        column[1.0] - column[14.0],
        _log_age(at_day - first_days),
        _log_age(at_day - last),
        np.log1p(users),
        (repeated + 2.0 * everyone) / (users + 2.0),  # as if two average users more had taken it
        prices,
    ]
    return np.column_stack(facts).astype(np.float32)


def _log_age(age: np.ndarray) -> np.ndarray:
    return np.log1p(np.clip(age, 0.0, 10_000.0))


def pair_features(context: Context, model: Model, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(k, F) float32 in FEATURES order for pairs of a user (rows (k,) int64, ascending) and an item (columns (k,)).

    model: its item facts, topics and history length.
    """
    histories = latest(context.histories, int(model.history_length))
    own, user = _own_features(context.histories, model.n_items, context.at_day, rows, columns)
    said = {name: lookup(context.members[name], rows, columns) for name in PERSONAL_MEMBERS}
    ranks = [np.log(ranks_within(rows, values)) for values in (said["ease"], said["lift"])]
    interests = of_items(context.interests, model, histories.n_users, rows, columns)
    faded = _faded(histories, context.at_day)
    lifts = attribute_lifts(histories, faded, model.attributes, model.item_users, (rows, columns))
    taste, facts = _taste(histories, model.item_facts[:, _TASTE], context.at_day), model.item_facts[columns]
    parts = [
        facts,
        own,
        user[rows],
        taste[rows],
        facts[:, _TASTE] - taste[rows],
        np.column_stack([*said.values(), *ranks]),
        interests,
        lifts[:, None],
        audience.pair_audience(context, model, rows, columns),
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _taste(histories: Histories, facts: np.ndarray, at_day: float) -> np.ndarray:
    """(n_users, 3) taste_age, taste_users and taste_price, see FEATURES; zeros for a user without events, but NaN for
    the price of one without any. facts (n, 3): age_days, users and price of each item."""
    age, users, price = facts[histories.items].astype(np.float64).T
    age_then = np.log1p(np.maximum(np.expm1(age) - (at_day - histories.days), 0.0))
    faded, priced = _faded(histories, at_day), np.isfinite(price)
    weighed = [(faded, age_then), (faded, users), (faded * priced, np.where(priced, price, 0.0))]
    sums = [[np.bincount(histories.rows, w * one, histories.n_users) for one in (values, 1.0)] for w, values in weighed]
    means = np.column_stack([total / np.maximum(weight, 1e-30) for total, weight in sums])
    means[sums[2][1] <= 0, 2] = np.nan
    return means


def _faded(histories: Histories, at_day: float) -> np.ndarray:
    """(e,) what each event counts at at_day."""
    return 0.5 ** (np.maximum(at_day - histories.days, 0.0) / _OWN_HALF_LIFE_DAYS)


def with_blend(pairs: np.ndarray, rows: np.ndarray, blend: np.ndarray) -> np.ndarray:
    """(k, F + 2) float32 in TREE_FEATURES order from pair_features (k, F) of rows (k,) and the blend's scores (k,)."""
    said = np.log(np.maximum(blend, _FLOOR)), np.log(ranks_within(rows, blend))
    return np.column_stack([pairs, *said]).astype(np.float32)


def _own_features(histories: Histories, n_items: int, at_day: float, rows: np.ndarray, columns: np.ndarray):
    """(k, 6) _OWN_NAMES of each pair and (n_users, 3) _USER_NAMES of each user."""
    n = histories.n_users
    age = np.maximum(at_day - histories.days, 0.0)
    user_item_days = _user_item_days(histories, n_items)
    keys, taken_on = np.unique(user_item_days[0] * n_items + user_item_days[1], return_counts=True)
    user_days = np.unique(user_item_days[[0, 2]], axis=1)[0]
    acted_on = np.bincount(user_days, minlength=n).astype(np.float64)
    place = np.searchsorted(keys, histories.rows * n_items + histories.items)
    last, first, faded = np.full(len(keys), np.inf), np.zeros(len(keys)), np.zeros(len(keys))
    np.minimum.at(last, place, age)
    np.maximum.at(first, place, age)
    np.add.at(faded, place, _faded(histories, at_day))
    gap = np.maximum((first - last) / np.maximum(taken_on - 1, 1), 0.5)
    known = np.column_stack(
        [
            taken_on,
            taken_on / np.maximum(acted_on[keys // n_items], 1.0),
            np.log1p(last),
            np.log1p(first),
            np.where(taken_on > 1, last / gap, -1.0),
            faded,
        ]
    )
    wanted = rows.astype(np.int64) * n_items + columns
    found = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    there = keys[found] == wanted if len(keys) else np.zeros(len(wanted), dtype=bool)
    own = np.tile(np.array([0.0, 0.0, -1.0, -1.0, -1.0, 0.0]), (len(wanted), 1))
    own[there] = known[found[there]]
    nearest, furthest = np.full(n, np.inf), np.zeros(n)
    np.minimum.at(nearest, histories.rows, age)
    np.maximum.at(furthest, histories.rows, age)
    return own, np.column_stack([acted_on, _log_age(nearest), _log_age(furthest)])


def ranks_within(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(k,) rank from 1 of each value among its row's, best first; equal values share the best rank. rows ascend."""
    order = np.lexsort((-values, rows))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (np.diff(rows[order]) != 0) | (np.diff(values[order]) != 0)
    starts = np.searchsorted(rows, rows[order])  # where the row begins, in either order
    leader = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    ranks = np.empty(len(order), dtype=np.float64)
    ranks[order] = leader - starts + 1
    return ranks

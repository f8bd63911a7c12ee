"""From histories and counts to the night's model: partial sums, the members, the tuned weights. No Spark.

The order of a night (the Spark face runs 1 and 3 over partitions of users, the rest on the driver):
  1. pair_batches over histories before the first tuning night, and again over all of them
  2. collaborative: the members of both fits
  3. candidates.tuning_rows over histories, for each tuning night
  4. weights.learn, then finished_model
"""

import dataclasses

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from interest_model.config import Ranker
from interest_model.errors import ConfigError
from interest_model.recommend import candidates, members, weights
from interest_model.recommend.blend import MEMBERS, POPULARITY_MEMBERS, Collaborative, Model
from interest_model.recommend.histories import Histories, latest
from interest_model.recommend.popularity import ItemCounts, decayed, head_items, recent

_HEAD_HALF_LIFE_DAYS = 60.0


def ease_head(counts: ItemCounts, n_items: int, at_day: float, size: int) -> np.ndarray:
    """(h,) int32 catalogue positions of the `size` items most used lately before at_day: those EASE is fitted on."""
    return head_items(decayed(counts, n_items, at_day, (_HEAD_HALF_LIFE_DAYS,))[:, 0], size)


def pair_batches(histories: Histories, n_items: int, head: np.ndarray, settings: Ranker) -> list[pa.RecordBatch]:
    """The partial sums of some users, as rows of members.PAIR_SCHEMA; merged by members.merge_rows or collaborative."""
    read = latest(histories, settings.history_length)
    transitions = members.transition_sums(read, n_items, settings.transition_reach)
    gram = members.gram_sums(read, n_items, head)
    return [members.to_rows("transitions", transitions), members.to_rows("gram", gram)]


def collaborative(rows: pa.Table, n_items: int, head: np.ndarray, settings: Ranker) -> Collaborative:
    """The collaborative members from all partial sums."""
    sums = members.from_rows(rows, "transitions", n_items)
    gram = members.from_rows(rows, "gram", n_items)
    users = gram.diagonal()
    lifted = (sums @ sp.diags(np.maximum(users, 1.0) ** -0.5)).tocsr()
    width, shrinkage = settings.neighbours, settings.transition_shrinkage
    return Collaborative(
        transitions=members.transition_weights(sums, users, width, shrinkage),
        lift=members.transition_weights(lifted, users, width, shrinkage),
        ease=members.ease_neighbours(gram, head, settings.ease_l2, width),
        item_users=users,
    )


def text_vectors(embeddings: np.ndarray, dimensions: int) -> np.ndarray:
    """(n, dimensions) float32: unit-length item vectors on the leading principal axes; a row of zeros or NaN stays
    zero.

    embeddings (n, d) float32. Fewer dimensions make the content member cheap; the axes are those of the second moment.
    """
    clean = np.nan_to_num(np.asarray(embeddings, dtype=np.float32))
    if clean.shape[1] > dimensions:
        _, axes = np.linalg.eigh((clean.T @ clean).astype(np.float64))
        clean = clean @ axes[:, ::-1][:, :dimensions].astype(np.float32)
    lengths = np.linalg.norm(clean, axis=1, keepdims=True)
    return np.where(lengths > 1e-6, clean / np.maximum(lengths, 1e-6), 0.0).astype(np.float32)


def draft_model(item_ids: np.ndarray, fitted: Collaborative, vectors: np.ndarray, settings: Ranker) -> Model:
    """A model without popularity, with the first prior's weights: what tuning nights are scored with."""
    n = len(item_ids)
    prior = prior_weights(settings)[0]
    return Model(
        item_ids=np.asarray(item_ids, dtype=str),
        collaborative=fitted,
        trends=np.zeros((n, len(POPULARITY_MEMBERS))),
        popular_7_days=np.zeros(n),
        pool=np.zeros(0, dtype=np.int32),
        vectors=vectors,
        scales=np.ones(len(MEMBERS)),
        weights_novel=prior,
        weights_repeat=prior,
        half_lives=np.array([np.nan, settings.query_half_life_days, settings.own_half_life_days]),
        history_length=np.array(settings.history_length, dtype=np.int64),
        first_days=np.full(n, np.inf),
        item_users=fitted.item_users,
    )


def prior_weights(settings: Ranker) -> np.ndarray:
    """(p, M) what the learned weights start from and are shrunk to: a row per prior of the settings, summing to one.

    Raises ConfigError where a prior names another set of members.
    """
    for name, prior in settings.prior_weights.items():
        if set(prior) != set(MEMBERS):
            odd = ", ".join(sorted(set(prior) ^ set(MEMBERS)))
            raise ConfigError(
                f"ranker.prior_weights.{name}: needs every member of the blend and no other; differs in: {odd}"
            )
    rows = [[prior[member] for member in MEMBERS] for prior in settings.prior_weights.values()]
    values = np.array(rows, dtype=np.float64)
    return values / values.sum(axis=1, keepdims=True)


def tuning_nights(
    draft: Model, counts: ItemCounts, first_days: np.ndarray, at_day: float, settings: Ranker
) -> list[candidates.Night]:
    """The nights the weights are learned on: tuning_days of them, the last one day before at_day."""
    cuts = [at_day - back for back in range(settings.tuning_days, 0, -1)]
    half_lives, pool = settings.popularity_half_lives_days, settings.pool_items
    return [candidates.night_at(draft, counts, first_days, cut, half_lives, pool) for cut in cuts]


def finished_model(
    draft: Model, learned: weights.Learned, counts: ItemCounts, first_days: np.ndarray, at_day: float, settings: Ranker
) -> Model:
    """The night's model: draft (fitted on all events before at_day) with popularity at the night and the learned
    weights."""
    night = candidates.night_at(
        draft, counts, first_days, at_day, settings.popularity_half_lives_days, settings.pool_items
    )
    return dataclasses.replace(
        night.model,
        trends=trends_at(night, learned.half_lives),
        popular_7_days=recent(counts, draft.n_items, at_day, 7.0),
        scales=learned.scales,
        weights_novel=learned.weights_novel,
        weights_repeat=learned.weights_repeat,
        half_lives=np.array([settings.popularity_half_lives_days[learned.half_lives[0]], *draft.half_lives[1:]]),
        first_days=first_days,
    )


def trends_at(night: candidates.Night, chosen: np.ndarray) -> np.ndarray:
    """(n, 4) the POPULARITY_MEMBERS at a night; chosen (3,): indices of the half lives of popularity, trend and
    slow."""
    columns = night.popularity[:, chosen]
    return np.column_stack([columns, columns[:, 0] * night.youth])

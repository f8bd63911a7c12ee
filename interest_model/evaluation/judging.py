"""What the days after a list say about it: the ranker, each member alone and the popularity floors. No Spark.

Who is judged: users who took something in the days after. Users without anything to find (in the novel variant: who
took only items they had before) are not judged. A user with history and truth but no list counts zero. Users without
history (who may have acted and consumed nothing) are judged in the segment no_history and nowhere else: on the list
issued to them, else on the one everybody gets.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from interest_model.config import Evaluation
from interest_model.evaluation import bootstrap, metrics
from interest_model.interest.states_of_users import States
from interest_model.interest.status import FADING, GONE, RETURNING, RISING
from interest_model.recommend import scoring, sparse_scores
from interest_model.recommend.blend import MEMBERS, Model
from interest_model.recommend.context import Context, context_at
from interest_model.recommend.histories import Histories, from_arrow, take
from interest_model.recommend.interests import interest_states

RANKER = "ranker"
PARTS = {"blend": 0.0, "boosted": 1.0}  # share of the boosted ranker: its parts, judged alone where both exist
BOOTSTRAPPED = ("ndcg", "ndcg_debiased", "recall", "hit_rate")
_CHUNK_USERS = 512
SUMS_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("variant", "model", "metric")]
    + [("k", pa.int32()), ("segment", pa.string()), ("total", pa.float64()), ("n_users", pa.int64())]
    + [("boot_sums", pa.list_(pa.float64())), ("boot_weights", pa.list_(pa.float64())), ("listed", pa.binary())]
)


class Cases(NamedTuple):
    """Users to judge: histories as known when the list was made (n_users rows; may be empty), and what they took after.

    truth_rows, truth_items (t,): distinct pairs of user position and catalogue position; an item the catalogue did not
    know has a position of n_items or more. listed (n_users, length) int64: the issued list in rank order, -1 padded.
    """

    histories: Histories
    truth_rows: np.ndarray
    truth_items: np.ndarray
    listed: np.ndarray


def from_batch(batch: pa.RecordBatch | pa.Table) -> Cases:
    """Cases from rows (user_id, items, days, weights, truth list<int32>, listed list<int32> or null), one per user."""
    table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
    truth = [np.unique(np.asarray(one or [], dtype=np.int64)) for one in table.column("truth").to_pylist()]
    listed = padded(table.column("listed").to_pylist())
    rows = np.repeat(np.arange(len(truth)), [len(one) for one in truth])
    return Cases(from_arrow(table), rows, np.concatenate([*truth, np.zeros(0, np.int64)]), listed)


def padded(lists: Sequence[list[int] | None]) -> np.ndarray:
    """(n, length) int64: the lists in rank order, -1 after the end of each; all -1 where there is none."""
    listed = np.full((len(lists), max([1, *(len(one or ()) for one in lists)])), -1, dtype=np.int64)
    for row, one in enumerate(lists):
        listed[row, : len(one or ())] = one or ()
    return listed


class Judged(NamedTuple):
    """Users who have something to find. keys: ascending row * width + item of their truth; segments: name to (n_users,)
    bool; boot (n_users, replicates): see bootstrap.weights; model: the night's; at_day: scoring time of the lists;
    settings: cutoffs and limits of segments."""

    boot: np.ndarray
    keys: np.ndarray
    segments: dict[str, np.ndarray]
    model: Model
    at_day: float
    settings: Evaluation


class Sums:
    """Mergeable sums of metric values by (variant, model, metric, k, segment).

    Each holds: total of the values, users counted, and for BOOTSTRAPPED metrics both per replicate; for coverage, which
    items of the catalogue were listed.
    """

    def __init__(self):
        self.values: dict[tuple, list] = {}

    def add(
        self, key: tuple, total: float, n_users: int, boot: tuple | None = None, listed: np.ndarray | None = None
    ) -> None:
        if key not in self.values:
            self.values[key] = [total, n_users, boot, listed]
            return
        held = self.values[key]
        held[0], held[1] = held[0] + total, held[1] + n_users
        held[2] = None if boot is None else (held[2][0] + boot[0], held[2][1] + boot[1])
        held[3] = None if listed is None else held[3] | listed

    def merge(self, other: "Sums") -> "Sums":
        """These sums with another partition's, or another night's, added. Coverage of other nights is the union of
        lists."""
        for key, (total, n_users, boot, listed) in other.values.items():
            self.add(key, total, n_users, boot, listed)
        return self

    def value(self, key: tuple) -> float | None:
        """The metric: a mean over users, or the share of the catalogue listed; None where nobody was judged."""
        total, n_users, _, listed = self.values[key]
        if not n_users:
            return None
        return total / n_users if listed is None else metrics.coverage(listed)

    def to_arrow(self) -> pa.RecordBatch:
        rows = []
        for key in sorted(self.values):
            total, n_users, boot, listed = self.values[key]
            sums, counts = (None, None) if boot is None else (boot[0].tolist(), boot[1].tolist())
            packed = None if listed is None else np.packbits(listed).tobytes()
            rows.append((*key, total, n_users, sums, counts, packed))
        columns = list(zip(*rows, strict=True)) if rows else [[] for _ in SUMS_SCHEMA]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SUMS_SCHEMA, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=SUMS_SCHEMA)

    @staticmethod
    def from_arrow(rows: pa.Table, n_items: int) -> "Sums":
        """Sums of all rows; rows with the same key are added, in row order."""
        sums = Sums()
        for row in rows.to_pylist():
            key = (row["variant"], row["model"], row["metric"], row["k"], row["segment"])
            boot = None if row["boot_sums"] is None else (np.array(row["boot_sums"]), np.array(row["boot_weights"]))
            packed = row["listed"]
            listed = None if packed is None else np.unpackbits(np.frombuffer(packed, "u1"), count=n_items).astype(bool)
            sums.add(key, row["total"], row["n_users"], boot, listed)
        return sums


def judge(cases: Cases, model: Model, at_day: float, settings: Evaluation, repeats: bool, issued: bool = True) -> Sums:
    """Sums of every metric of the ranker, each member alone and the floors, at the scoring time at_day of the lists.

    Where the domain repeats there are two variants: novel (seen items out of lists and truth) and repeat (nothing
    removed); otherwise novel only. The issued list stands for the ranker in the domain's own variant; in the other it
    is computed. A user with history but no issued list counts zero for every model, so that all stand on the same rows.
    Without `issued` lists, every list is computed, for every user with history.
    """
    sums = Sums()
    for start in range(0, cases.histories.n_users, _CHUNK_USERS):
        chunk = _slice(cases, start, min(start + _CHUNK_USERS, cases.histories.n_users))
        known = chunk.histories.lengths > 0
        for variant in ("novel", "repeat") if repeats else ("novel",):
            given = (issued, issued and (variant == "repeat") == repeats)
            _judge_known(_chosen(chunk, known), model, at_day, (variant, *given), settings, sums)
            _judge_unknown(_chosen(chunk, ~known), model, at_day, (variant, given[1]), settings, sums)
    return sums


def judge_lists(
    brought: Mapping[tuple[str, str], np.ndarray], cases: Cases, model: Model, at_day: float, settings: Evaluation
) -> Sums:
    """Sums of every metric of lists made elsewhere. brought: variant and model's name to lists as cases.listed.

    On the same users as `judge` has it; model: of the split, for what describes items and users' interests.
    """
    sums = Sums()
    for start in range(0, cases.histories.n_users, _CHUNK_USERS):
        end = min(start + _CHUNK_USERS, cases.histories.n_users)
        users: dict[str, Judged] = {}
        for (variant, name), lists in brought.items():
            chunk = _slice(cases._replace(listed=lists), start, end)
            chunk = _with_something_to_find(_chosen(chunk, chunk.histories.lengths > 0), model, variant)
            if chunk.histories.n_users:
                if variant not in users:
                    moved = moved_users(interest_states(chunk.histories, model, at_day), chunk.histories.n_users)
                    users[variant] = _judged_users(chunk, model, at_day, moved, variant, settings)
                _add(sums, (variant, name), chunk.listed, users[variant])
    return sums


def moved_users(found: States, n_users: int) -> np.ndarray:
    """(n_users,) bool: users with an interest that rises, fades, is gone or returns, or that moved in one step."""
    moved = np.isin(found.status, (RISING, FADING, GONE, RETURNING)) | found.sudden
    return np.bincount(found.users[moved], minlength=n_users) > 0


def _slice(cases: Cases, start: int, end: int) -> Cases:
    mask = np.zeros(cases.histories.n_users, dtype=bool)
    mask[start:end] = True
    return _chosen(cases, mask)


def _chosen(cases: Cases, users: np.ndarray) -> Cases:
    place = np.cumsum(users) - 1
    kept = users[cases.truth_rows]
    return Cases(
        take(cases.histories, users), place[cases.truth_rows[kept]], cases.truth_items[kept], cases.listed[users]
    )


def _judge_known(cases: Cases, model: Model, at_day: float, kind, settings: Evaluation, sums: Sums) -> None:
    """kind: variant, whether lists were issued at all, whether they stand for the ranker in this variant."""
    variant, issued, stands = kind
    cases = _with_something_to_find(cases, model, variant)
    if not cases.histories.n_users:
        return
    context = context_at(cases.histories, model, at_day)
    moved = moved_users(context.interests, cases.histories.n_users)
    users = _judged_users(cases, model, at_day, moved, variant, settings)
    served = (cases.listed >= 0).any(axis=1) | (not issued)
    for name, items in _lists(context, model, variant == "repeat", max(settings.cutoffs)):
        items = np.where(served[:, None], cases.listed if stands and name == RANKER else items, -1)
        _add(sums, (variant, name), items, users)


def _judge_unknown(cases: Cases, model: Model, at_day: float, kind, settings: Evaluation, sums: Sums) -> None:
    """Users without history: one list for all, by decayed popularity or by the 7 days' count, but for those that had
    one of their own. kind: variant, whether issued lists stand for the ranker in this variant."""
    variant, stands = kind
    cases = _with_something_to_find(cases, model, variant)
    n = cases.histories.n_users
    if not n:
        return
    nobody, segments = np.zeros(n, bool), {"no_history": np.ones(n, bool)}
    users = _judged_users(cases, model, at_day, nobody, variant, settings)._replace(segments=segments)
    for name, scores in (
        (RANKER, model.trends[:, 0]),
        ("popularity", model.trends[:, 0]),
        ("popular_7_days", model.popular_7_days),
    ):
        items = np.full(max(settings.cutoffs), -1)
        best, _ = sparse_scores.popular_list(scores, len(items))
        items[: len(best)] = best
        items = np.tile(items, (n, 1))
        _add(sums, (variant, name), _own_or(cases.listed, items) if stands and name == RANKER else items, users)


def _own_or(listed: np.ndarray, common: np.ndarray) -> np.ndarray:
    """(u, length) -1 padded: each user's row of `listed` where it holds anything, else of `common`."""
    length = max(listed.shape[1], common.shape[1])
    own, common = (np.pad(one, [(0, 0), (0, length - one.shape[1])], constant_values=-1) for one in (listed, common))
    return np.where((listed >= 0).any(axis=1)[:, None], own, common)


def _with_something_to_find(cases: Cases, model: Model, variant: str) -> Cases:
    keys = _truth_keys(cases, model, variant)
    return _chosen(cases, np.bincount(keys // _width(model), minlength=cases.histories.n_users) > 0)


def _judged_users(
    cases: Cases, model: Model, at_day: float, moved: np.ndarray, variant: str, settings: Evaluation
) -> Judged:
    keys, segments = _truth_keys(cases, model, variant), _segments(cases.histories, settings) | {"moved_users": moved}
    boot = bootstrap.weights(cases.histories.user_ids, settings.bootstrap_replicates, settings.seed)
    return Judged(boot, keys, segments, model, at_day, settings)


def _width(model: Model) -> int:
    return model.n_items + metrics.UNKNOWN_ITEMS


def _truth_keys(cases: Cases, model: Model, variant: str) -> np.ndarray:
    """Ascending row * width + item of what is to be found; in the novel variant without the user's own items."""
    keys = np.unique(cases.truth_rows.astype(np.int64) * _width(model) + cases.truth_items)
    if variant == "repeat":
        return keys
    known = np.unique(cases.histories.rows.astype(np.int64) * _width(model) + cases.histories.items)
    return keys[~np.isin(keys, known, assume_unique=True)]


def _segments(histories: Histories, settings: Evaluation) -> dict[str, np.ndarray]:
    """Segment to (n_users,) bool. Light users are those neither new nor heavy."""
    events = histories.lengths
    new, heavy = events <= settings.new_user_events, events >= settings.heavy_user_events
    return {"all": np.ones(len(events), bool), "new_users": new, "light_users": ~new & ~heavy, "heavy_users": heavy}


def _lists(context: Context, model: Model, repeats: bool, length: int):
    """Yields (model name, items (u, length) padded with -1): the ranker, its PARTS where it has both, both floors (the
    decayed popularity is a member of the blend as well) and all other members."""
    histories = context.histories

    def padded(best: tuple[np.ndarray, ...]) -> np.ndarray:
        rows, ranks, items, _ = (column[best[1] <= length] for column in best)
        lists = np.full((histories.n_users, length), -1, dtype=np.int64)
        lists[rows, ranks - 1] = items
        return lists

    def listed(matrix: sp.csr_matrix) -> np.ndarray:
        return padded(sparse_scores.top(matrix if repeats else sparse_scores.without(matrix, histories), length))

    mixture = model.mixture(repeats)
    boosted = len(mixture.trees) > 0
    found = scoring.best_candidates(context, model, length, repeats, boosted)
    yield RANKER, padded(scoring.mixed(found, mixture))
    if boosted:
        for name, share in PARTS.items():
            yield name, padded(scoring.mixed(found, mixture._replace(share=np.array(share))))
    floors = {name: model.trends[:, column] for column, name in enumerate(MEMBERS[: model.trends.shape[1]])}
    for name, values in {**floors, "popular_7_days": model.popular_7_days}.items():
        yield name, listed(_same_for_all(values, histories, length))
    for name, matrix in context.members.items():
        # where seen items are left out, nothing of one's own is left
        if name not in model.silent and (repeats or not name.startswith("own")):
            yield name, listed(matrix)


def _same_for_all(scores: np.ndarray, histories: Histories, length: int) -> sp.csr_matrix:
    """(n_users, n_items): the best items by one score, as many as the longest history could remove and `length`
    more."""
    best, _ = sparse_scores.popular_list(scores, length + int(histories.lengths.max(initial=0)))
    best = np.sort(best)
    n = histories.n_users
    entries = (np.tile(scores[best], n), np.tile(best, n), np.arange(n + 1) * len(best))
    return sp.csr_matrix(entries, (n, len(scores)))


def _add(sums: Sums, kind: tuple[str, str], items: np.ndarray, users: Judged) -> None:
    """Adds every metric of one model's lists (u, length) to the sums, by segment; kind: variant and model's name."""
    found = _hits(items, users.keys, users.model)
    for segment, mask in users.segments.items():
        judged = np.flatnonzero(mask & (found.n_truth > 0))
        _add_accuracy(sums, (*kind, segment), found, judged, users.boot, users.settings.cutoffs)
        for k in users.settings.cutoffs:
            _describe(sums, (*kind, k, segment), items[judged, :k], users.model)
    if "all" in users.segments:
        new = _is_new(users.keys % _width(users.model), users.model, users.at_day, users.settings)
        found = _hits(items, users.keys[new], users.model)
        judged = np.flatnonzero(found.n_truth > 0)
        _add_accuracy(sums, (*kind, "new_items"), found, judged, users.boot, users.settings.cutoffs)


class _Hits(NamedTuple):
    """Lists against what is to be found: hits (u, length) bool and n_truth (u,), see metrics; hit_weights (u, length)
    and truth_weights (u, t), see metrics.ndcg_debiased."""

    hits: np.ndarray
    n_truth: np.ndarray
    hit_weights: np.ndarray
    truth_weights: np.ndarray


def _hits(items: np.ndarray, wanted: np.ndarray, model: Model) -> _Hits:
    """wanted: ascending row * width + item of what is to be found."""
    width, n = _width(model), len(items)
    rows, n_truth = wanted // width, np.bincount(wanted // width, minlength=n)
    hits = np.isin(np.arange(n)[:, None] * width + items, wanted) & (items >= 0)
    weights = metrics.inverse_propensity(wanted % width, model.item_users)
    truth_weights = np.zeros((n, n_truth.max(initial=1)))
    truth_weights[rows, np.arange(len(rows)) - (np.cumsum(n_truth) - n_truth)[rows]] = -weights
    truth_weights = -np.sort(truth_weights, axis=1)
    return _Hits(hits, n_truth, np.where(hits, metrics.inverse_propensity(items, model.item_users), 0.0), truth_weights)


def _add_accuracy(sums: Sums, key: tuple, found: _Hits, judged: np.ndarray, boot: np.ndarray, cutoffs) -> None:
    """Adds what compares lists with truth, over the rows `judged`; key: variant, model's name and segment."""
    *kind, segment = key
    hits, n_truth, hit_weights, truth_weights = (part[judged] for part in found)
    for k in cutoffs:
        values = {metric: metrics.accuracy(metric, hits, n_truth, k) for metric in metrics.ACCURACY}
        values["ndcg_debiased"] = metrics.ndcg_debiased(hit_weights, truth_weights, k)
        for metric, one in values.items():
            _put(sums, (*kind, metric, k, segment), one, boot[judged] if metric in BOOTSTRAPPED else None)


def _describe(sums: Sums, key: tuple, items: np.ndarray, model: Model) -> None:
    """Adds what describes lists (u, k) whatever was taken: novelty, intra-list distance, coverage."""
    variant, name, k, segment = key
    _put(sums, (variant, name, "novelty", k, segment), metrics.novelty(items, model.item_users, k), None)
    distance = metrics.intra_list_distance(items, model.vectors, k)
    _put(sums, (variant, name, "intra_list_distance", k, segment), distance, None)
    listed = np.zeros(model.n_items, dtype=bool)
    listed[items[items >= 0]] = True
    sums.add((variant, name, "coverage", k, segment), 0.0, len(items), None, listed)


def _is_new(items: np.ndarray, model: Model, at_day: float, settings: Evaluation) -> np.ndarray:
    """(t,) items first seen at most new_item_days before at_day, or not known to the catalogue."""
    first = np.append(model.first_days, np.inf)[np.minimum(items, model.n_items)]
    return first >= at_day - settings.new_item_days


def _put(sums: Sums, key: tuple, values: np.ndarray, boot: np.ndarray | None) -> None:
    counted = ~np.isnan(values)
    weights = None if boot is None else (values @ boot, boot.sum(axis=0))
    sums.add(key, float(values[counted].sum()), int(counted.sum()), weights)

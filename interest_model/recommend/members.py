"""The collaborative members of the blend: item transitions, EASE and factors, by mergeable sums over users. No Spark.

A partial fit takes the histories of some users and returns item-by-item sums. Sums of different users merge by adding,
so users never leave their partition. All summed values are multiples of 2**-8 or so and exact in float64 (float32 is
not, above 2**16: a pair of best sellers): the order in which users and partitions are added changes nothing.
"""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import scipy.linalg
import scipy.sparse as sp
from sklearn.neighbors import BallTree
from sklearn.utils.extmath import randomized_svd

from interest_model.interest.strength import EARTH_RADIUS_KM
from interest_model.recommend.histories import Histories, instants

PAIR_SCHEMA = pa.schema([("kind", pa.string()), ("item", pa.int32()), ("others", pa.binary()), ("values", pa.binary())])
STEP_DECAY = 0.75  # per instant further away; its powers are exact binary fractions
SAME_INSTANT = 0.5  # order unknown: half in each direction
_PAIRS_A_BATCH = 2**27  # 1 GiB of values: Arrow's offsets reach 2 GiB
_NEAREST = 5  # times the neighbours kept: so many of the nearest items are looked at
_PLACES_AT_ONCE = 4_096  # items whose nearest are looked for together; bounds memory


def transition_sums(histories: Histories, n_items: int, reach: int) -> sp.csr_matrix:
    """(n_items, n_items): how often the column's item followed the row's in one user's history, up to `reach` instants
    later.

    An instant is all events of a user at one time: the order inside it is unknown, so its pairs count SAME_INSTANT in
    both directions; a pair d >= 1 instants apart counts STEP_DECAY ** (d - 1). An item never follows itself.
    """
    moment = instants(histories)
    n_moments = int(moment[-1]) + 1 if len(moment) else 0
    content = _binary(moment, histories.items, (n_moments, n_items))
    user_of = np.zeros(n_moments, dtype=np.int64)
    user_of[moment] = histories.rows
    sums = (content.T.tocsr() @ (_band(user_of, reach) @ content)).tocsr()
    sums.setdiag(0.0)
    sums.eliminate_zeros()
    return sums


def _band(user_of: np.ndarray, reach: int) -> sp.csr_matrix:
    """(instants, instants): weight of the later instant for the earlier one, within one user."""
    n = len(user_of)
    rows, columns, values = [np.arange(n)], [np.arange(n)], [np.full(n, SAME_INSTANT)]
    for step in range(1, min(reach, n - 1) + 1):
        first = np.flatnonzero(user_of[step:] == user_of[:-step])
        rows.append(first), columns.append(first + step), values.append(np.full(len(first), STEP_DECAY ** (step - 1)))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_matrix(entries, (n, n))


def gram_sums(histories: Histories, n_items: int, head: np.ndarray) -> sp.csr_matrix:
    """(n_items, n_items), upper triangle: users who consumed both items; the diagonal counts an item's users.

    Off the diagonal only pairs of head items count. head (h,) int32: catalogue positions of the items EASE knows.
    """
    consumed = _binary(histories.rows, histories.items, (histories.n_users, n_items))
    in_head = np.zeros(n_items)
    in_head[head] = 1.0
    head_only = consumed @ sp.diags(in_head)
    head_only.eliminate_zeros()
    pairs = sp.triu(head_only.T.tocsr() @ head_only, k=1)
    return (pairs + sp.diags(np.asarray(consumed.sum(axis=0)).ravel())).tocsr()


def _binary(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    matrix = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix


def to_rows(kind: str, sums: sp.csr_matrix, most: int = _PAIRS_A_BATCH) -> list[pa.RecordBatch]:
    """One Arrow row per item with any pair: kind, item, others (bytes of int32) and values (bytes of float64).

    A batch ends with the item that makes `most` pairs full.
    """
    sums = sums.tocsr()
    sums.sort_indices()
    items = np.flatnonzero(np.diff(sums.indptr)).astype(np.int32)
    ends = np.concatenate([[0], sums.indptr[1:][items]]).astype(np.int64)
    cuts = np.flatnonzero(np.diff(ends[:-1] // most)) + 1
    return [
        _packed(kind, items[first:last], ends[first : last + 1], sums)
        for first, last in pairwise([0, *cuts.tolist(), len(items)])
    ]


def _packed(kind: str, items: np.ndarray, ends: np.ndarray, sums: sp.csr_matrix) -> pa.RecordBatch:
    """Rows of items whose pairs lie between neighbouring `ends`."""
    packed = []
    for column, type in ((sums.indices, "<i4"), (sums.data, "<f8")):
        values = np.ascontiguousarray(column[ends[0] : ends[-1]], type)
        offsets = pa.py_buffer(((ends - ends[0]) * values.itemsize).astype(np.int32))
        packed.append(pa.Array.from_buffers(pa.binary(), len(items), [None, offsets, pa.py_buffer(values)]))
    kinds = pa.array([kind] * len(items), pa.string())
    return pa.RecordBatch.from_arrays([kinds, pa.array(items, pa.int32()), *packed], schema=PAIR_SCHEMA)


def from_rows(rows: pa.Table, kind: str, n_items: int) -> sp.csr_matrix:
    """The (n_items, n_items) float64 sums of one kind; rows of the same item are added."""
    chosen = rows.filter(pa.compute.equal(rows.column("kind"), kind)).combine_chunks()
    if not chosen.num_rows:
        return sp.csr_matrix((n_items, n_items))
    items = np.asarray(chosen.column("item"))
    others = np.frombuffer(b"".join(chosen.column("others").to_pylist()), "<i4")
    values = np.frombuffer(b"".join(chosen.column("values").to_pylist()), "<f8")
    lengths = np.asarray(pa.compute.binary_length(chosen.column("others"))) // 4
    sums = sp.csr_matrix((values, (np.repeat(items, lengths), others)), (n_items, n_items))
    sums.sum_duplicates()
    return sums


def merge_rows(rows: pa.Table, n_items: int) -> list[pa.RecordBatch]:
    """The same sums with one row per (kind, item): what a merging step between partitions and driver returns."""
    kinds = pa.compute.unique(rows.column("kind")).to_pylist()
    return [batch for kind in sorted(kinds) for batch in to_rows(kind, from_rows(rows, kind, n_items))]


def transition_weights(sums: sp.csr_matrix, counts: np.ndarray, neighbours: int, shrinkage: float) -> sp.csr_matrix:
    """(n, n) float32: share of an item's followers, sums / (counts of the row's item + shrinkage), `neighbours` per
    row.

    counts (n,): users of each item. Shrinkage keeps items seen once from looking certain.
    """
    weights = (sp.diags(1.0 / (counts + shrinkage)) @ sums).tocsr()
    return strongest(weights, neighbours)


def head_gram(gram: sp.csr_matrix, head: np.ndarray) -> np.ndarray:
    """(h, h) float64, symmetric: users who consumed both of two head items; on the diagonal users of each."""
    block = gram[head][:, head].toarray()
    return block + np.triu(block, 1).T


def ease_neighbours(gram: np.ndarray, head: np.ndarray, l2: float, shape: tuple[int, int]) -> sp.csr_matrix:
    """(n, n) float32 EASE weights among the head items, the strongest (by size) of each row's item.

    gram: see head_gram. shape: n items, and how many entries of a row stay.
    """
    n_items, neighbours = shape
    return strongest(_embed(ease_weights(gram, l2), head, n_items, neighbours), neighbours)


def item_factors(gram: np.ndarray, dimensions: int, seed: int) -> np.ndarray:
    """(h, d) float32 V: the leading eigenvectors of S G S, with G = gram (see head_gram) and S = diag(G) ** -0.5.

    PureSVD (Cremonesi, Koren and Turrin 2010, "Performance of Recommender Algorithms on Top-N Recommendation Tasks",
    section 3.3) on items scaled as in EigenRec (Nikolakopoulos et al. 2019): a user of item vector x is x S V, the
    score of item j (x S V V')_j. d is at most h / 4: with d = h only the user's own items would score.
    """
    width = min(dimensions, len(gram) // 4)
    if not width:
        return np.zeros((len(gram), 0), dtype=np.float32)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1.0))
    cosines = (gram * scale * scale[:, None]).astype(np.float32)
    _, _, axes = randomized_svd(cosines, width, n_iter=4, random_state=seed)
    return axes.T.astype(np.float32)


def nowhere(n_items: int) -> np.ndarray:
    """(n, 2) NaN: the places of items that have none."""
    return np.full((n_items, 2), np.nan)


def nearby_weights(places: np.ndarray, users: np.ndarray, half_km: float, neighbours: int) -> sp.csr_matrix:
    """(n, n) float32: users of the column's item / (1 + km between both items / half_km), the `neighbours` largest of
    each row; empty where half_km is 0.

    places (n, 2): latitude and longitude in degrees, NaN where an item has none; users (n,) of each item. A power law
    of distance, as check-ins follow it (Ye et al. 2011, "Exploiting Geographical Influence for Collaborative
    Point-of-Interest Recommendation", section 3.2). Of each item _NEAREST times as many are looked at as are kept.
    """
    n, there = len(places), np.flatnonzero(np.isfinite(places).all(axis=1))
    if not half_km or len(there) < 2:
        return sp.csr_matrix((n, n), dtype=np.float32)
    radians = np.radians(places[there])
    tree, width = BallTree(radians, metric="haversine"), min(_NEAREST * neighbours + 1, len(there))
    parts = []
    for start in range(0, len(there), _PLACES_AT_ONCE):
        distance, place = tree.query(radians[start : start + _PLACES_AT_ONCE], k=width)
        found, rows = there[place], there[start : start + _PLACES_AT_ONCE]
        values = np.where(found == rows[:, None], 0.0, users[found] / (1.0 + EARTH_RADIUS_KM / half_km * distance))
        entries = (values.ravel(), (np.repeat(np.arange(len(rows)), width), found.ravel()))
        parts.append(strongest(sp.csr_matrix(entries, (len(rows), n)), neighbours))
    found = sp.vstack(parts).tocsr()
    indptr = np.zeros(n + 1, dtype=np.int64)
    indptr[there + 1] = np.diff(found.indptr)
    return sp.csr_matrix((found.data, found.indices, np.cumsum(indptr)), (n, n))


def _embed(weights: np.ndarray, head: np.ndarray, n_items: int, neighbours: int) -> sp.csr_matrix:
    """The strongest entries of each row of the (h, h) weights, placed at the head's catalogue positions."""
    width = min(neighbours, len(head))
    if not width:
        return sp.csr_matrix((n_items, n_items))
    columns = np.argpartition(-np.abs(weights), width - 1, axis=1)[:, :width]
    values = np.take_along_axis(weights, columns, axis=1)
    rows = np.repeat(head, width)
    return sp.csr_matrix((values.ravel(), (rows, head[columns.ravel()])), (n_items, n_items))


def ease_weights(gram: np.ndarray, l2: float) -> np.ndarray:
    """EASE item-to-item weights (h, h) float32 from the Gram matrix (h, h) of consumed items, zero diagonal.

    B = I - P diag(1 / diag(P)) with P = (G + l2 I)^-1 (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse
    Data", equation 8). The score of item j for a user's item vector x is (x B)_j. Single precision: l2 keeps the matrix
    well conditioned. Raises ValueError where l2 is not above zero.
    """
    if l2 <= 0:
        raise ValueError(f"EASE: l2 must be above zero, got {l2}")
    if not len(gram):
        return np.zeros((0, 0), dtype=np.float32)
    shifted = np.array(gram, dtype=np.float32, order="F")
    shifted[np.diag_indices_from(shifted)] += np.float32(l2)
    factor, info = scipy.linalg.lapack.spotrf(shifted, lower=1, overwrite_a=1)
    if info != 0:
        raise ValueError("EASE: the Gram matrix plus l2 is not positive definite; raise l2")
    inverse, _ = scipy.linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights


def strongest(matrix: sp.csr_matrix, width: int) -> sp.csr_matrix:
    """float32 matrix with only the `width` largest (by size) entries of each row; ties go to the smaller column."""
    matrix = matrix.tocsr()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    kept = np.ones(len(matrix.data), dtype=bool)
    for row in np.flatnonzero(np.diff(matrix.indptr) > width):
        here = slice(matrix.indptr[row], matrix.indptr[row + 1])
        size = np.abs(matrix.data[here])
        bar = np.partition(size, len(size) - width)[len(size) - width]
        tied = np.flatnonzero(size == bar)
        kept[here] = size > bar
        kept[here.start + tied[: width - np.count_nonzero(size > bar)]] = True
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sp.csr_matrix((matrix.data[kept].astype(np.float32), matrix.indices[kept], indptr), matrix.shape)

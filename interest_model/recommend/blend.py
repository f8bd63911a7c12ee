"""The blend: which members there are, the model of a night, and its form as named arrays. No Spark."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from interest_model.recommend.attributes import ItemAttributes

POPULARITY_MEMBERS = ("popularity", "trend", "slow", "new")
PERSONAL_MEMBERS = (
    "transitions", "lift", "ease", "factors", "nearby", "content", "interests", "sequence", "own", "own_recent",
)  # fmt: skip
POOL_MEMBERS = ("content", "interests")  # of the personal ones those that score the pool, whole and alone, or nothing
MEMBERS = POPULARITY_MEMBERS + PERSONAL_MEMBERS
"""popularity: decay with the searched half life; trend, slow: a shorter and a longer one; new: popularity times
(1 + age in days) ** -0.5; transitions: items that followed the user's recent ones; lift: the same over the square root
of the item's users; ease: EASE on the whole history, each item once; factors: the same through a matrix factorisation;
nearby: what is popular near the user's recent items, where items have coordinates; content: texts like the user's
recent ones; interests: what is popular in the topics of the user's interests (both of pool items only); sequence: a
trained sequence model, where there is one; own, own_recent: the user's own items, counted with a long and a short half
life."""

ITEM_HALF_LIVES_DAYS = (0.5, 1.0, 2.0, 7.0, 14.0, 56.0, 112.0)
"""Of the first columns of Model.item_facts: ln popularity."""
_SPARSE = ("transitions", "lift", "ease")
_PLAIN = ("item_users", "item_repeaters", "factor_items", "factors")
_MIXTURES = ("mixture_novel", "mixture_repeat")
_PARTS = ("collaborative", "nearby", "topics", "attributes", "audience", *_MIXTURES)  # of Model: several arrays each


class ItemTopics(NamedTuple):
    """The ranker's view of the hierarchy's deepest tier. membership (n, k) float32 CSR, rows sum to one or are empty;
    names (k,) str: labels from tier 1 down; rule (r,) float64: see interests.rule_numbers."""

    membership: sp.csr_matrix
    names: np.ndarray
    rule: np.ndarray


class Audience(NamedTuple):
    """Who took an item lately, see audience. items (a,) int32 ascending: catalogue positions of the items used most
    lately; means (h, a, d) float32: for each of audience.HALF_LIVES_DAYS the mean taste of who took the item, beyond
    everybody's; everybody (h, d) float32."""

    items: np.ndarray
    means: np.ndarray
    everybody: np.ndarray


class SequenceMember(NamedTuple):
    """The sequence model as a member. weights (b,) uint8: see shipped_model.packed, over the ranker's catalogue, empty
    where there is none; from_day: the moment up to which it was trained (days since epoch): before it it has seen what
    was to come, and says nothing."""

    weights: np.ndarray
    from_day: float


NO_SEQUENCE = SequenceMember(np.zeros(0, dtype=np.uint8), np.inf)


class Collaborative(NamedTuple):
    """What is learned from all users' histories (their latest history_length events) before a cut.

    transitions, lift, ease: (n, n) float32 CSR, row -> column. item_users, item_repeaters (n,) float64: users of each
    item, and those who took it on several days. factor_items (h,) int32 ascending: catalogue positions of the items
    that have factors; factors (h, d) float32: see members.item_factors.
    """

    transitions: sp.csr_matrix
    lift: sp.csr_matrix
    ease: sp.csr_matrix
    item_users: np.ndarray
    item_repeaters: np.ndarray
    factor_items: np.ndarray
    factors: np.ndarray

    @property
    def axes(self) -> np.ndarray:
        """(h, d) float64: what each of factor_items adds to a user's vector, its factors over the root of its users."""
        scale = 1.0 / np.sqrt(np.maximum(self.item_users[self.factor_items], 1.0))
        return self.factors * scale[:, None]


class Mixture(NamedTuple):
    """How the blend and the boosted ranker make one score, see scoring.mixed. trees (b,) uint8: see boosted.fit; empty:
    there are none; share () float64: of the trees in the score, the rest is the blend's."""

    trees: np.ndarray
    share: np.ndarray


BLEND_ALONE = Mixture(np.zeros(0, dtype=np.uint8), np.array(0.0))


@dataclasses.dataclass(frozen=True)
class Model:
    """The ranker of one night over a catalogue of n items, ascending by item_id.

    item_ids (n,) str.
    collaborative: see Collaborative.
    trends (n, 4) float64: the POPULARITY_MEMBERS at the night, each divided by its largest.
    popular_7_days (n,) float64: plain counts, the floor.
    pool (p,) int32 ascending: popular and newest items, candidates for every user.
    vectors (n, d) float32: item texts, unit length; zero where there is none.
    scales (M,) float64: typical top score of each member, in MEMBERS order.
    weights_novel, weights_repeat (M,) float64: the blend where seen items are left out, and where nothing is.
    half_lives (3,) float64, days: popularity's (searched), the query's, the own items'.
    history_length () int64: latest events of a user that the personal members read; `own` reads all.
    first_days (n,) float64: when an item was first seen, days since epoch.
    popular (p,) int32 ascending: the most popular items of each half life.
    item_facts (n, f) float32: see features.item_facts, at the night.
    mixture_novel, mixture_repeat: see Mixture, where seen items are left out, and where nothing is.
    sequence (b,) uint8, sequence_from () float64: see SequenceMember.
    nearby (n, n) float32 CSR: see members.nearby_weights.
    topics: see ItemTopics. topic_shares (k,) float64: everybody's shares of the topics at the night.
    attributes: see attributes.ItemAttributes. audience: see Audience, at the night; nobody's where there are no trees.
    """

    item_ids: np.ndarray
    collaborative: Collaborative
    trends: np.ndarray
    popular_7_days: np.ndarray
    pool: np.ndarray
    vectors: np.ndarray
    scales: np.ndarray
    weights_novel: np.ndarray
    weights_repeat: np.ndarray
    half_lives: np.ndarray
    history_length: np.ndarray
    first_days: np.ndarray
    popular: np.ndarray
    item_facts: np.ndarray
    mixture_novel: Mixture
    mixture_repeat: Mixture
    sequence: np.ndarray
    sequence_from: np.ndarray
    nearby: sp.csr_matrix
    topics: ItemTopics
    topic_shares: np.ndarray
    attributes: ItemAttributes
    audience: Audience

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    @property
    def item_users(self) -> np.ndarray:
        """(n,) users who consumed each item."""
        return self.collaborative.item_users

    @property
    def weekly_popularity(self) -> np.ndarray:
        """(n,) decayed counts over the largest, with a half life of 7 days, at the moment of item_facts."""
        return np.exp(self.item_facts[:, ITEM_HALF_LIVES_DAYS.index(7.0)].astype(np.float64))

    @property
    def silent(self) -> set[str]:
        """Members that this model lacks: no log without texts and categories has interests, say."""
        sizes = {
            "factors": self.collaborative.factors.size,
            "nearby": self.nearby.nnz,
            "interests": self.topics.membership.nnz,
            "sequence": len(self.sequence),
        }
        return {name for name, size in sizes.items() if not size}

    def weights(self, repeats: bool) -> np.ndarray:
        """(M,) weights of the members' scores after division by `scales`."""
        return self.weights_repeat if repeats else self.weights_novel

    def mixture(self, repeats: bool) -> Mixture:
        """How the variant's scores are made of the blend's and the boosted ranker's."""
        return self.mixture_repeat if repeats else self.mixture_novel

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The model as named arrays of plain dtypes; `from_arrays` is the inverse."""
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in _PARTS}
        for variant in _MIXTURES:
            arrays |= {f"{variant}.{name}": one for name, one in getattr(self, variant)._asdict().items()}
        arrays["item_ids"] = np.asarray(self.item_ids, dtype=str)
        arrays |= {"topic_names": np.asarray(self.topics.names, dtype=str), "topic_rule": self.topics.rule}
        arrays |= {"prices": self.attributes.prices, "attribute_kinds": self.attributes.kinds}
        arrays |= {f"audience_{name}": one for name, one in self.audience._asdict().items()}
        arrays |= {name: getattr(self.collaborative, name) for name in _PLAIN}
        matrices = {name: getattr(self.collaborative, name) for name in _SPARSE}
        matrices |= {"nearby": self.nearby, "topics": self.topics.membership, "attributes": self.attributes.values}
        for name, matrix in matrices.items():
            arrays |= matrix_arrays(name, matrix)
        return arrays

    @staticmethod
    def from_arrays(arrays: dict[str, np.ndarray]) -> "Model":
        """The model from the arrays of `to_arrays`. Raises KeyError where one is missing."""
        n, k, v = (len(arrays[name]) for name in ("item_ids", "topic_names", "attribute_kinds"))
        matrices = [matrix_of(arrays, name, (n, n)) for name in _SPARSE]
        plain = {f.name: arrays[f.name] for f in dataclasses.fields(Model) if f.name not in _PARTS}
        for variant in _MIXTURES:
            plain[variant] = Mixture(*(arrays[f"{variant}.{name}"] for name in Mixture._fields))
        own = {name: arrays[name] for name in _PLAIN}
        plain["nearby"] = matrix_of(arrays, "nearby", (n, n))
        topics = ItemTopics(matrix_of(arrays, "topics", (n, k)), arrays["topic_names"], arrays["topic_rule"])
        values = matrix_of(arrays, "attributes", (n, v))
        plain["attributes"] = ItemAttributes(arrays["prices"], values, arrays["attribute_kinds"])
        plain["audience"] = Audience(*(arrays[f"audience_{name}"] for name in Audience._fields))
        return Model(collaborative=Collaborative(*matrices, **own), topics=topics, **plain)


def matrix_arrays(name: str, matrix: sp.csr_matrix) -> dict[str, np.ndarray]:
    """A float32 CSR matrix as three named arrays; `matrix_of` is the inverse."""
    kinds = {"data": np.float32, "indices": np.int32, "indptr": np.int64}
    return {f"{name}.{part}": getattr(matrix, part).astype(kind) for part, kind in kinds.items()}


def matrix_of(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix(tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr")), shape)

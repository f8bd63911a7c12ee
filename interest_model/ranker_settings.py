"""Settings of the ranker and of the lists it writes: sections ranker and recommendations of conf/base.yaml."""

import dataclasses

from interest_model.yaml_files import above_zero, at_least, one_of, within


@dataclasses.dataclass(frozen=True)
class Ranker:
    """The blend and the boosted ranker. Half lives in days."""

    seed: int
    history_length: int
    seen_length: int
    popularity_half_lives_days: tuple[float, ...]
    query_half_life_days: float
    own_half_life_days: float
    transition_reach: int
    transition_shrinkage: float
    neighbours: int
    ease_max_items: int
    ease_l2: float
    factor_dimensions: int
    audience_items: int
    near_half_km: float
    sequence: bool
    pool_items: int
    content_dimensions: int
    tuning_days: int
    tuning_users: int
    weights_shrinkage: float
    lessons: int
    lesson_days: int
    lesson_users: int
    lesson_min_users: int
    lesson_warm_up_days: float
    boosting_forests: int
    boosting_misses: float
    boosting_rounds: int
    boosting_rate: float
    boosting_leaves: int
    boosting_leaf_hits: float
    boosting_l2: float
    boosting_feature_share: float
    boosting_share: float
    boosting_without: tuple[str, ...]
    prior_weights: dict[str, dict[str, float]]

    def __post_init__(self) -> None:
        at_least(self, 1, "history_length", "seen_length", "transition_reach", "neighbours", "ease_max_items")
        at_least(self, 1, "pool_items", "tuning_days", "tuning_users", "lesson_days", "lesson_users")
        at_least(self, 1, "boosting_forests", "boosting_rounds", "boosting_misses")
        at_least(self, 2, "boosting_leaves")
        above_zero(self, "popularity_half_lives_days", "query_half_life_days", "own_half_life_days", "ease_l2")
        above_zero(self, "boosting_rate", "boosting_feature_share")
        at_least(self, 0, "seed", "transition_shrinkage", "factor_dimensions", "audience_items", "near_half_km")
        at_least(self, 0, "content_dimensions", "weights_shrinkage", "lessons", "lesson_min_users")
        at_least(self, 0, "lesson_warm_up_days", "boosting_leaf_hits", "boosting_l2")
        within(self, 0, 1, "boosting_share", "boosting_feature_share")

    @property
    def learning_days(self) -> int:
        """How far back the moments lie that the ranker learns from."""
        return self.tuning_days + self.lessons * self.lesson_days

    def of_age(self, log_days: float) -> "Ranker":
        """The settings for a log that is log_days old: where that is less than warm-up, lessons and tuning nights take,
        each of them is shorter in that ratio, a day at least."""
        share = log_days / (self.learning_days + self.lesson_warm_up_days)
        if share >= 1:
            return self
        shorter = {name: max(int(getattr(self, name) * share), 1) for name in ("tuning_days", "lesson_days")}
        return dataclasses.replace(self, lesson_warm_up_days=self.lesson_warm_up_days * max(share, 0.0), **shorter)


@dataclasses.dataclass(frozen=True)
class Recommendations:
    active_days: int
    list_length: int
    fallback_place_events: int
    diversity_method: str
    diversity_strength: float
    diversity_candidates: int

    def __post_init__(self) -> None:
        one_of(self, diversity_method=("dpp", "mmr", "msd"))
        at_least(self, 1, "active_days", "list_length", "fallback_place_events", "diversity_candidates")
        at_least(self, 0, "diversity_strength")

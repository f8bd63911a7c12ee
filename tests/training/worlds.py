"""A world of sequences that a small model learns in a moment, and settings to train it with."""

import numpy as np

from interest_model.interest import model as zoo
from interest_model.interest.item_tower import ItemFeatures
from interest_model.interest.model import Ensemble
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.recommend.attributes import ItemTraits
from interest_model.training.batches import Sequences
from interest_model.training.item_coding import coding
from interest_model.training.packaged import Packaged
from interest_model.training.sequence_model import Past
from tests.interest.parts import fit_settings, model_settings
from tests.recommend.worlds import histories

N_ITEMS = 12
ITEM_IDS = np.array([f"item{position:02d}" for position in range(N_ITEMS)], dtype=object)
TEXTS = np.eye(N_ITEMS, 6, dtype=np.float32)
FEATURES = ItemFeatures(N_ITEMS, {"text": TEXTS}, first_days=np.zeros(N_ITEMS))
NO_TRAITS = ItemTraits(np.full(N_ITEMS, np.nan), {})


def cycle(n_users: int = 60, days: int = 12, seed: int = 0) -> Sequences:
    """After item k comes item k + 1, and after the last the first; one a day, everyone on every day."""
    rng = np.random.default_rng(seed)
    users = {}
    for user in range(n_users):
        start = int(rng.integers(N_ITEMS))
        users[f"u{user:02d}"] = [((start + step) % N_ITEMS, step + 0.9 * rng.random()) for step in range(days)]
    return Sequences(histories(users))


def past(**more) -> Past:
    return Past(cycle(**more), FEATURES, 12.0, repeats=True)


def small_model(**more) -> ModelSettings:
    return model_settings("gru", "rnn", **({"embedding": 16, "hidden": 24, "layers": 1, "dropout": 0.0} | more))


def quick(**more) -> FitSettings:
    return fit_settings(**({"epochs": 12, "batch_size": 16, "learning_rate": 0.02, "patience": 3} | more))


def untrained(seed: int = 0) -> Packaged:
    model = zoo.build(small_model(), FEATURES, seed).eval()
    return Packaged(
        model, ITEM_IDS, {"trained_until": 12.0, "encoder": "e1", "repeats": True, "coding": coding(NO_TRAITS)}
    )


def untrained_ensemble(*seeds: int) -> Packaged:
    first, *others = (untrained(seed) for seed in seeds)
    return first._replace(model=Ensemble([first.model, *(one.model for one in others)]).eval())

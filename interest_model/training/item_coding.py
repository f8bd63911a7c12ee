"""What is known of items as a sequence model reads it: vectors, and codes of attributes. No Spark."""

import numpy as np

from interest_model.interest.item_tower import ItemFeatures
from interest_model.recommend.attributes import ItemTraits, KnownItems, log_prices


def coding(traits: ItemTraits) -> dict:
    """How traits become numbers, as plain JSON: price: mean and deviation of ln(1 + price), None where no item has one;
    values: of each attribute, in the order of their codes, those that two items or more have."""
    prices = log_prices(traits.prices)
    priced, values = prices[np.isfinite(prices)], {}
    for name, words in sorted(traits.named.items()):
        found, sizes = np.unique([one for one in words if one is not None], return_counts=True)
        values[name] = found[sizes > 1].tolist()
    scale = [float(priced.mean()), float(priced.std()) or 1.0] if len(priced) else None
    return {"price": scale, "values": {name: words for name, words in values.items() if words}}


def features(items: KnownItems, coded: dict) -> ItemFeatures:
    """The items as a model with this coding reads them: a price that is not known is the mean one, a value that it has
    not met is none."""
    vectors = {"text": np.asarray(items.texts, dtype=np.float32)}
    if coded["price"]:
        mean, deviation = coded["price"]
        vectors["price"] = np.nan_to_num((log_prices(items.traits.prices) - mean) / deviation).astype(np.float32)[
            :, None
        ]
    nothing = np.full(len(items.item_ids), None)
    categories = {
        f"attribute_{name}": _codes(items.traits.named.get(name, nothing), words)  # a bare name could be a torch one
        for name, words in coded["values"].items()
    }
    return ItemFeatures(len(items.item_ids), vectors, categories, first_days=items.first_days)


def _codes(values: np.ndarray, words: list[str]) -> np.ndarray:
    code = {word: position for position, word in enumerate(words)}
    return np.array([code.get(one, -1) for one in values], dtype=np.int64)

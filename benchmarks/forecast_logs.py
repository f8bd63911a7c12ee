"""Real logs as histories and topics, read from their raw files with pandas. For benchmarks/forecasts.py."""

import io
import os
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from interest_model.recommend.histories import Histories

SECONDS_PER_DAY = 86_400


class Log(NamedTuple):
    """One log: histories of all users, memberships of its tiers (widest first), parents of the deepest tier's topics
    (None with one tier)."""

    name: str
    histories: Histories
    tiers: list[sp.csr_matrix]
    parents: np.ndarray | None


def read_log(name: str) -> Log:
    """One of READERS; the folder with the logs is the environment's INTEREST_DATA_DIR."""
    return READERS[name](Path(os.environ["INTEREST_DATA_DIR"]))


def _movietweetings(folder: Path) -> Log:
    events = pd.read_csv(folder / "movietweetings" / "ratings_first_seen.csv.gz")
    films = pd.read_csv(
        folder / "movietweetings" / "movies.dat.gz", sep="::", engine="python", header=None,
        names=["item", "title", "genres"], quoting=3, encoding="utf-8",
    )  # fmt: skip
    events = pd.DataFrame(
        {"user": events.user_id, "item": events.movie_id, "day": events.rating_timestamp / SECONDS_PER_DAY}
    )
    genres = films.dropna(subset=["genres"]).set_index("item").genres.str.split("|").explode()
    genres = genres[(genres != "") & (genres != "(no genres listed)")]
    histories, items = _histories(events)
    rows = pd.Index(items).get_indexer(genres.index)
    codes, names = pd.factorize(genres, sort=True)
    member = sp.csr_matrix((np.ones((rows >= 0).sum()), (rows[rows >= 0], codes[rows >= 0])), (len(items), len(names)))
    total = np.asarray(member.sum(axis=1)).ravel()
    return Log("movietweetings", histories, [(sp.diags(1 / np.maximum(total, 1)) @ member).tocsr()], None)


def _online_retail(folder: Path) -> Log:
    parts = []
    with tarfile.open(folder / "online-retail-uci" / "by-day.tar.gz") as archive:
        for one in archive.getmembers():
            if one.name.endswith(".csv"):
                columns = ["StockCode", "Description", "Quantity", "InvoiceDate", "CustomerID"]
                parts.append(pd.read_csv(io.BytesIO(archive.extractfile(one).read()), dtype=str, usecols=columns))
    raw = pd.concat(parts).dropna(subset=["CustomerID", "Description"]).drop_duplicates()
    raw = raw[raw.Quantity.astype(float) > 0]
    raw = raw[raw.StockCode.str.match(r"^\d{5}")]  # the others are postage, fees and samples
    days = pd.to_datetime(raw.InvoiceDate).to_numpy("datetime64[s]").astype(np.int64) / SECONDS_PER_DAY
    events = pd.DataFrame({"user": raw.CustomerID, "item": raw.StockCode.str.upper(), "day": days})
    histories, items = _histories(events)
    titles = raw.groupby(raw.StockCode.str.upper()).Description.agg(lambda one: one.mode().iloc[0]).reindex(items)
    words = TfidfVectorizer(min_df=3, sublinear_tf=True).fit_transform(titles.str.lower())
    # without the reduction k-means puts most items into one topic of everything else
    vectors = normalize(TruncatedSVD(50, random_state=7).fit_transform(words))
    fine = KMeans(40, n_init=3, random_state=7).fit(vectors)
    parents = KMeans(10, n_init=10, random_state=7).fit_predict(normalize(fine.cluster_centers_)).astype(np.int64)
    return _with_tiers("online_retail", histories, fine.labels_, parents)


def _complete_journey(folder: Path) -> Log:
    folder = folder / "complete-journey-sample"
    raw = pd.read_csv(
        folder / "transactions_sample.csv.gz", usecols=["household_id", "product_id", "transaction_timestamp"]
    )
    products = pd.read_csv(folder / "products.csv.gz").set_index("product_id")
    raw = raw[raw.product_id.isin(products.index)]
    days = pd.to_datetime(raw.transaction_timestamp).to_numpy("datetime64[s]").astype(np.int64) / SECONDS_PER_DAY
    histories, items = _histories(pd.DataFrame({"user": raw.household_id, "item": raw.product_id, "day": days}))
    kinds = products.loc[items, ["department", "product_category"]].fillna("other")
    departments, _ = pd.factorize(kinds.department, sort=True)
    topics, paths = pd.factorize(kinds.department + "/" + kinds.product_category, sort=True)
    parents = np.zeros(len(paths), dtype=np.int64)
    parents[topics] = departments
    return _with_tiers("complete_journey", histories, topics, parents)


def _with_tiers(name: str, histories: Histories, topics: np.ndarray, parents: np.ndarray) -> Log:
    """Two tiers from the topic of each item (n_items,) and the parent of each topic."""
    n, k = len(topics), len(parents)
    fine = sp.csr_matrix((np.ones(n), (np.arange(n), topics)), (n, k))
    wide = sp.csr_matrix((np.ones(n), (np.arange(n), parents[topics])), (n, parents.max() + 1))
    return Log(name, histories, [wide, fine], parents)


def _histories(events: pd.DataFrame) -> tuple[Histories, np.ndarray]:
    """Histories of all users, and the items in the order of their positions."""
    users, user_ids = pd.factorize(events.user, sort=True)
    codes, items = pd.factorize(events["item"], sort=True)
    order = np.lexsort((codes, events.day.to_numpy(), users))
    counts = np.bincount(users, minlength=len(user_ids))
    return Histories(
        np.asarray(user_ids, dtype=object).astype(str).astype(object),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        codes[order].astype(np.int32),
        events.day.to_numpy(dtype=np.float64)[order],
        np.ones(len(order), dtype=np.float32),
    ), np.asarray(items)


READERS = {
    "movietweetings": _movietweetings,
    "online_retail": _online_retail,
    "complete_journey": _complete_journey,
}

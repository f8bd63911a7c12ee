"""Evaluation rows put together for people: one night, or many nights merged, with bootstrap intervals over users."""

from collections.abc import Sequence
from datetime import date

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.evaluation import bootstrap
from interest_model.evaluation.judging import RANKER

_SHOWN = ("ndcg", "recall", "hit_rate")
_KEY = ["variant", "horizon_days", "segment", "model"]


def nightly_rows(evaluation: DataFrame) -> list[dict]:
    """One row per variant, horizon and model: NDCG, recall and hit rate at 10 of the users with history."""
    chosen = _figures(evaluation, "all", 10).where("protocol = 'replay'")
    wide = chosen.groupBy(*_KEY, "n_users").pivot("metric", list(_SHOWN)).agg(F.first("value"))
    found = wide.orderBy("variant", "horizon_days", F.desc("ndcg"), "model").collect()
    return [_rounded(row.asDict()) for row in found]


def day_metrics(evaluation: DataFrame, run_date: date) -> dict[str, float]:
    """The day's figures by name, as the tracking store keeps them: "ranker/ndcg@10/novel/next 1 days"."""
    chosen = _figures(evaluation, "all", 10).where("protocol = 'replay' and value is not null")
    rows = chosen.where(F.col("run_date") == F.lit(run_date)).collect()
    name = "{model}/{metric}@10/{variant}/next {horizon_days} days"
    return {name.format(**row.asDict()): row["value"] for row in rows}


def pooled_rows(evaluation: DataFrame, segment: str = "all", k: int = 10) -> list[dict]:
    """One row per variant, horizon and model over all given nights of one protocol: figures with 95 % intervals over
    users.

    Beside them the paired interval of the ranker's lead: above zero, the ranker is better by more than chance. Nights
    merge by adding sums and replicate sums (see evaluation.bootstrap).
    """
    held: dict[tuple, list] = {}
    for row in _figures(evaluation, segment, k).collect():
        key = (row["variant"], row["horizon_days"], row["model"])
        total = (row["value"] or 0.0) * row["n_users"]
        sums, weights = np.array(row["boot_sums"]), np.array(row["boot_weights"])
        one = held.setdefault(key, {}).setdefault(row["metric"], [0.0, 0, 0.0, 0.0, 0])
        held[key][row["metric"]] = [
            one[0] + total,
            one[1] + row["n_users"],
            one[2] + sums,
            one[3] + weights,
            one[4] + 1,
        ]
    rows = [_pooled(key, figures, held.get((key[0], key[1], RANKER))) for key, figures in held.items()]
    return sorted(rows, key=lambda row: (row["variant"], row["horizon_days"], -row["ndcg"], row["model"]))


def _figures(evaluation: DataFrame, segment: str, k: int) -> DataFrame:
    return evaluation.where(F.col("metric").isin(*_SHOWN) & (F.col("k") == k) & (F.col("segment") == segment))


def _pooled(key: tuple, figures: dict, ranker: dict | None) -> dict:
    variant, horizon, model = key
    row = {"variant": variant, "horizon_days": horizon, "model": model, "nights": figures["ndcg"][4]}
    row["user_nights"] = figures["ndcg"][1]
    for metric in _SHOWN:
        total, n_users, sums, weights, _ = figures[metric]
        low, high = bootstrap.interval(sums, weights)
        row |= {metric: round(total / max(n_users, 1), 4), f"{metric}_95": f"{low:.4f} to {high:.4f}"}
    if ranker is not None and model != RANKER:
        low, high = bootstrap.paired_interval(ranker["ndcg"][2:4], figures["ndcg"][2:4])
        row["ranker_leads_by"] = f"{low:+.4f} to {high:+.4f}"
    return row


def text_table(rows: Sequence[dict]) -> str:
    """Rows as aligned text columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *[[str(row.get(name, "")) for name in names] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _rounded(row: dict) -> dict:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}

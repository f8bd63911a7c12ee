"""Evaluation rows put together for people: one night, or many nights merged, with bootstrap intervals over users."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from interest_model.config import METRICS_AT
from interest_model.errors import DataError
from interest_model.evaluation import bootstrap
from interest_model.evaluation.judging import RANKER
from interest_model.evaluation.markdown import page

_SHOWN = ("ndcg", "recall", "hit_rate")
_POOLED = (*_SHOWN, "ndcg_debiased")
_SPREAD = ("ndcg", "ndcg_debiased", "recall", "hit_rate", "mrr", "coverage", "novelty", "intra_list_distance")
_KEY = ["variant", "horizon_days", "segment", "model"]


def nightly_rows(evaluation: DataFrame) -> list[dict]:
    """One row per variant, horizon and model: NDCG, recall and hit rate at 10 of the users with history."""
    chosen = _figures(evaluation, "all", METRICS_AT).where("protocol = 'replay'")
    wide = chosen.groupBy(*_KEY, "n_users").pivot("metric", list(_SHOWN)).agg(F.first("value"))
    found = wide.orderBy("variant", "horizon_days", F.desc("ndcg"), "model").collect()
    return [_rounded(row.asDict()) for row in found]


def day_metrics(evaluation: DataFrame, run_date: date) -> dict[str, float]:
    """The day's figures by name, as the tracking store keeps them: "ranker/ndcg@10/novel/next 1 days"."""
    chosen = _figures(evaluation, "all", METRICS_AT).where("protocol = 'replay' and value is not null")
    rows = chosen.where(F.col("run_date") == F.lit(run_date)).collect()
    name = "{model}/{metric}@10/{variant}/next {horizon_days} days"
    return {name.format(**row.asDict()): row["value"] for row in rows}


def pooled_rows(evaluation: DataFrame, segment: str = "all", k: int = METRICS_AT) -> list[dict]:
    """`pooled` as people read it."""
    return shown(pooled(evaluation, segment, k))


def pooled(evaluation: DataFrame, segment: str = "all", k: int = METRICS_AT) -> list[dict]:
    """One row per variant, horizon and model over all given nights (or draws) of one protocol, best NDCG first.

    Each figure is the mean over users and nights, with the ends of its 95 % interval over users as <figure>_low and
    <figure>_high. lead_low, lead_high: the paired interval of the ranker's lead in NDCG over the row's model; above
    zero, the ranker is better by more than chance; of a model that some nights lack it is over the others. Nights merge
    by adding sums and replicate sums (see evaluation.bootstrap); a figure that some night lacks is left out.
    """
    held: dict[tuple, dict[str, list]] = {}
    nights: dict[tuple, dict[tuple, np.ndarray]] = defaultdict(dict)
    found = _figures(evaluation, segment, k, _POOLED).collect()
    _check_alike(found)
    for row in found:
        figures = held.setdefault((row["variant"], row["horizon_days"], row["model"]), {})
        one = figures.setdefault(row["metric"], [0.0, 0, 0.0, 0.0, 0])
        total = (row["value"] or 0.0) * row["n_users"]
        more = (total, row["n_users"], np.array(row["boot_sums"]), np.array(row["boot_weights"]), 1)
        figures[row["metric"]] = [before + added for before, added in zip(one, more, strict=True)]
        if row["metric"] == "ndcg":
            moment = row["run_date"], row["list_date"], row["seed"]
            nights[row["variant"], row["horizon_days"], row["model"]][moment] = np.stack(more[2:4])
    rows = [_pooled(key, figures) | _lead(key, nights) for key, figures in held.items()]
    return sorted(rows, key=lambda row: (row["variant"], row["horizon_days"], -row["ndcg"], row["model"]))


def _check_alike(rows: Sequence) -> None:
    """DataError where nights were judged with other numbers of replicates: their sums cannot be added."""
    numbers = {len(row["boot_sums"]): row["run_date"] for row in rows}
    if len(numbers) > 1:
        told = ", ".join(f"{number} on {day}" for number, day in sorted(numbers.items()))
        raise DataError(
            f"table evaluation: evaluation.bootstrap_replicates was not the same on all nights ({told})",
            "ask for nights judged alike, or run the step evaluate_day of the others again",
        )


def _figures(evaluation: DataFrame, segment: str, k: int, metrics: Sequence[str] = _SHOWN) -> DataFrame:
    return evaluation.where(F.col("metric").isin(*metrics) & (F.col("k") == k) & (F.col("segment") == segment))


def _lead(key: tuple, nights: dict[tuple, dict[tuple, np.ndarray]]) -> dict:
    """The ends of the ranker's paired lead over the model of `key`, on the nights (or draws) that both have."""
    own, ranker = nights[key], nights.get((*key[:2], RANKER), {})
    both = own.keys() & ranker.keys()
    if key[2] == RANKER or not both:
        return {}
    low, high = bootstrap.paired_interval(sum(ranker[one] for one in both), sum(own[one] for one in both))
    return {"lead_low": low, "lead_high": high}


def _pooled(key: tuple, figures: dict) -> dict:
    variant, horizon, model = key
    row = {"variant": variant, "horizon_days": horizon, "model": model, "nights": figures["ndcg"][4]}
    row["user_nights"] = figures["ndcg"][1]
    for metric in _POOLED:
        if metric not in figures or figures[metric][4] < row["nights"]:
            continue
        total, n_users, sums, weights, _ = figures[metric]
        row[metric] = total / max(n_users, 1)
        row[f"{metric}_low"], row[f"{metric}_high"] = bootstrap.interval(sums, weights)
    return row


def shown(rows: Sequence[dict]) -> list[dict]:
    """Rows of `pooled` rounded, with intervals as text."""
    found = []
    for row in rows:
        one = {name: row[name] for name in (*_KEY[:2], "model", "nights", "user_nights")}
        for metric in (metric for metric in _POOLED if metric in row):
            interval = f"{row[f'{metric}_low']:.4f} to {row[f'{metric}_high']:.4f}"
            one |= {metric: round(row[metric], 4), f"{metric}_95": interval}
        if "lead_low" in row:
            one["ranker_leads_by"] = f"{row['lead_low']:+.4f} to {row['lead_high']:+.4f}"
        found.append(one)
    return found


def spread(evaluation: DataFrame, segment: str = "all", k: int = METRICS_AT) -> list[dict]:
    """One row per variant, horizon and model: of every figure the mean over seeds or nights (each counts once), and as
    <figure>_deviation its standard deviation over them (n - 1; None for a single one); rounds: how many there are."""
    each = _figures(evaluation, segment, k, _SPREAD).where("value is not null")
    parts = each.groupBy("variant", "horizon_days", "model", "metric").agg(
        F.avg("value").alias("mean"), F.stddev_samp("value").alias("deviation"), F.count("*").alias("rounds")
    )
    held: dict[tuple, dict] = {}
    for part in parts.orderBy("variant", "horizon_days", "model", "metric").collect():
        key = {name: part[name] for name in ("variant", "horizon_days", "model")}
        row = held.setdefault(tuple(key.values()), key | {"rounds": 0})
        row |= {part["metric"]: part["mean"], f"{part['metric']}_deviation": part["deviation"]}
        row["rounds"] = max(row["rounds"], part["rounds"])
    return sorted(held.values(), key=lambda row: (row["variant"], row["horizon_days"], -row["ndcg"], row["model"]))


def spread_shown(rows: Sequence[dict]) -> list[dict]:
    """Rows of `spread` as text: the mean, and the deviation in brackets where there is one."""
    found = []
    for row in rows:
        one = {name: row[name] for name in ("variant", "horizon_days", "model", "rounds")}
        for metric in (metric for metric in _SPREAD if metric in row):
            deviation = row[f"{metric}_deviation"]
            one[metric] = f"{row[metric]:.4f}" + ("" if deviation is None else f" ({deviation:.4f})")
        found.append(one)
    return found


def by_name(pooled_rows: Sequence[dict], spread_rows: Sequence[dict], k: int) -> dict[str, float]:
    """Figures by name, as the tracking store keeps them: "ranker/ndcg@10/novel/next 7 days" and, after it, " low",
    " high" or " deviation"; the ranker's lead over a model as "MODEL/lead@10/... low" and "... high"."""
    named = {}
    for row in [*spread_rows, *pooled_rows]:  # where both have a figure, the pooled one stands
        span = f"next {row['horizon_days']} days" if row["horizon_days"] else "one left out"
        for column, value in row.items():
            metric, _, end = column.rpartition("_")
            metric, end = (metric, f" {end}") if end in ("low", "high", "deviation") else (column, "")
            if metric in (*_SPREAD, "lead") and value is not None and np.isfinite(value):
                named[f"{row['model']}/{metric}@{k}/{row['variant']}/{span}{end}"] = float(value)
    return named


class Summary(NamedTuple):
    """A backtest's figures: text for a terminal, a Markdown page, and figures by name (see by_name)."""

    text: str
    page: str
    figures: dict[str, float]


def summary(evaluation: DataFrame, cutoffs: Sequence[int], facts: dict[str, object]) -> Summary:
    """Of the rows of one backtest, over all users; the text at the shortest cutoff, the rest at each. facts: by name,
    "protocol" among them, for the head of the page."""
    together = {k: (pooled(evaluation, "all", k), spread(evaluation, "all", k)) for k in cutoffs}
    tables = {k: (shown(merged), spread_shown(each)) for k, (merged, each) in together.items()}
    figures = {name: value for k, rows in together.items() for name, value in by_name(*rows, k).items()}
    return Summary(text_table(tables[min(cutoffs)][0]), page(facts, tables), figures)


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

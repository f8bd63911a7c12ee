"""jobs/backtest.py on the sample: past nights with a ranker refitted at each, peers on the same, figures for people."""

import argparse
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from interest_model.config import load_settings
from interest_model.errors import DataError
from interest_model.job import open_night
from interest_model.job_arguments import add_backtest_arguments, checked_backtest
from interest_model.storage import Storage, schema_of
from interest_model.tables import EVALUATION
from tests.nights import options

pytestmark = [pytest.mark.spark, pytest.mark.slow]
LAST = date(2026, 1, 8)
OWN_LISTS = {"first": [0, 1, 2], "others": list(range(5, 12))}
QUICK = ["evaluation.horizons_days=[1, 2]", "evaluation.bootstrap_replicates=20", "ranker.tuning_users=200"]


@pytest.fixture(scope="module")
def warehouse(first_night_warehouse, tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("backtest") / "warehouse"
    shutil.copytree(first_night_warehouse, copy)
    return copy


@pytest.fixture(scope="module")
def backtest(spark, sample_log, warehouse):
    """Runs one and returns its rows of table evaluation, without the bootstrap."""

    def run(*given: str, day: date = LAST, settings=()):
        from jobs import backtest as job

        parser = argparse.ArgumentParser()
        add_backtest_arguments(parser)
        plain = ["--run-date", str(day), "--source", "shop", "--raw", str(sample_log), "--warehouse", str(warehouse)]
        night = open_night(options(sample_log, warehouse, day, set=[*QUICK, *settings]), day, spark)
        asked = checked_backtest(parser.parse_args([*plain, *given]))
        night.run_step("backtest", lambda night: job.run(night, asked))
        rows = Storage(spark, str(warehouse)).read("evaluation").drop("boot_sums", "boot_weights")
        return rows.where(F.col("protocol") == ("refit" if "replay" in given else given[1])).toPandas()

    return run


def own_lists(folder: Path) -> None:
    """Peers that list the first items of the catalogue, and others, for everybody they are asked about."""
    users = pq.read_table(folder / "truth", columns=["user_id"]).column("user_id")
    (folder / "lists").mkdir(exist_ok=True)
    for name, items in OWN_LISTS.items():
        listed = pa.array([items] * len(users), pa.list_(pa.int32()))
        pq.write_table(pa.table({"user_id": users, "listed": listed}), folder / "lists" / f"{name}-novel.parquet")


def hit_rate(folder: Path, items: list[int]) -> float:
    """Of one list for everybody, from the files that a peer is given: of users who took something new to them."""
    taken = {row["user_id"]: set(row["items"]) for row in pq.read_table(folder / "histories").to_pylist()}
    truth = {row["user_id"]: set(row["truth"]) for row in pq.read_table(folder / "truth").to_pylist()}
    wanted = [found - taken[user] for user, found in truth.items() if user in taken and found - taken[user]]
    return sum(bool(one & set(items)) for one in wanted) / len(wanted)


def written_by_a_night(spark, warehouse: Path):
    """Table evaluation with one row as jobs/evaluate_day.py writes them, on the same day and of the same list."""
    row = (LAST, "replay", "novel", "shop", "ranker", "ndcg", 1, 10, "all", date(2026, 1, 7), 0.5, 3, 0, None, None)
    frame = spark.createDataFrame([row], schema_of(EVALUATION))
    Storage(spark, str(warehouse)).replace("evaluation", frame, f"run_date = DATE'{LAST}' and protocol = 'replay'")
    return lambda: Storage(spark, str(warehouse)).read("evaluation").where("protocol = 'replay'").count() == 1


def test_past_nights_are_refitted_judged_per_horizon_and_met_by_peers(backtest, spark, warehouse, tmp_path, capsys):
    untouched = written_by_a_night(spark, warehouse)
    key = ["variant", "model", "metric", "k", "segment"]
    rows = backtest("--protocol", "replay", "--nights", "2")
    said = [line for line in capsys.readouterr().out.splitlines() if "judged: evaluation where" in line]
    assert all(night in line for night, line in zip(("2026-01-06", "2026-01-07"), said, strict=True))
    spans = {(row.list_date, row.horizon_days, row.run_date) for row in rows.itertuples()}
    sixth, seventh = date(2026, 1, 6), date(2026, 1, 7)
    assert spans == {(sixth, 1, seventh), (sixth, 2, LAST), (seventh, 1, LAST)}
    assert {"ndcg_debiased", "coverage"} <= set(rows.metric) and set(rows.k) == {10, 50} and untouched()

    before = backtest("--protocol", "replay", "--nights", "1", day=seventh)  # a day earlier: night 6 knew as much
    one = rows[(rows.list_date == sixth) & (rows.horizon_days == 1)]
    same = before[before.list_date == sixth]
    assert one.sort_values(key).reset_index(drop=True).equals(same.sort_values(key).reset_index(drop=True))

    given = ("--protocol", "replay", "--nights", "2", "--peers", str(tmp_path / "peers"))
    with pytest.raises(DataError, match="--split FOLDER"):
        backtest(*given)
    assert len(backtest(*given[:-2], "--split", given[-1])) == len(before)  # it judges nothing
    for night in (sixth, seventh):
        own_lists(tmp_path / "peers" / f"replay-{night}")
    page = tmp_path / "page" / "replay.md"
    judged = backtest(*given, "--markdown", str(page))
    peer = judged[(judged.model == "first") & (judged.metric == "ndcg") & (judged.segment == "all") & (judged.k == 10)]
    ranker = judged[(judged.model == "ranker") & (judged.metric == "ndcg") & (judged.segment == "all")]
    ranker = ranker[(ranker.k == 10) & (ranker.variant == "novel")]
    users = [frame.set_index(["list_date", "horizon_days"]).n_users.sort_index() for frame in (peer, ranker)]
    assert len(peer) == 3 and users[0].equals(users[1])
    hits = judged[(judged.metric == "hit_rate") & (judged.segment == "all") & (judged.k == 10)]
    hits = hits[(hits.list_date == seventh) & (hits.variant == "novel")].set_index("model").value
    for name, items in OWN_LISTS.items():  # judged together, and each as its own
        assert hits[name] == pytest.approx(hit_rate(tmp_path / "peers" / f"replay-{seventh}", items))
    assert hits["first"] != hits["others"]
    text = page.read_text()
    assert "| first |" in text and "ranker_leads_by" in text and "- nights: 2" in text


def test_seeds_are_judged_each_and_logged_with_their_deviation(backtest, warehouse, tmp_path):
    import mlflow

    page = tmp_path / "loo.md"
    given = ("--protocol", "loo-shuffled", "--seeds", "1", "2", "--markdown", str(page))
    rows = backtest(*given, settings=["tracking.enabled=true", "tracking.timeout_seconds=120"])
    assert set(rows.seed) == {1, 2} and set(rows.horizon_days) == {0} and set(rows.run_date) == {LAST}
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{warehouse / '_mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(load_settings().tracking.experiment)
    (run,) = client.search_runs([experiment.experiment_id], "params.protocol = 'loo-shuffled'")
    assert run.data.params["seed"] == "1 2" and run.data.params["revision"] and "quantile" not in run.data.params
    chosen = rows.query("model == 'ranker' and metric == 'ndcg' and k == 10 and segment == 'all'")
    chosen = chosen[chosen.variant == "novel"]
    name = "ranker/ndcg at 10/novel/one left out"
    assert run.data.metrics[f"{name} deviation"] == pytest.approx(chosen.value.std(ddof=1))
    assert run.data.metrics[name] == pytest.approx((chosen.value * chosen.n_users).sum() / chosen.n_users.sum())
    logged = Path(client.download_artifacts(run.info.run_id, "backtest.md", str(tmp_path))).read_text()
    assert logged == page.read_text() and f"({chosen.value.std(ddof=1):.4f})" in logged

"""jobs/train.py on the sample: a challenger is made, judged and put to use; a worse one is refused; rollback undoes."""

import argparse
import shutil
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from interest_model import commands
from interest_model.errors import UsageError
from interest_model.job import open_night
from interest_model.models import decisions
from interest_model.storage import Storage
from interest_model.training.promotion import champion_as_of
from interest_model.training.registry import Registry
from tests.nights import options

pytestmark = [pytest.mark.spark, pytest.mark.slow]
NIGHT = date(2026, 1, 8)
# eight days hold no whole window of seven
FEW = ["promotion.min_users=5", "training.epochs=4", "training.batch_size=16", "training.target=next"]


@pytest.fixture(scope="module")
def warehouse(first_night_warehouse, tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("train") / "warehouse"
    shutil.copytree(first_night_warehouse, copy)
    return copy


def train(spark, raw: Path, warehouse: Path, *settings: str, day: date = NIGHT) -> list[dict]:
    from jobs.train import run

    night = open_night(options(raw, warehouse, day, set=[*FEW, *settings]), day, spark)
    night.run_step("train", run)
    return sorted(decisions(Storage(spark, str(warehouse))), key=lambda row: row["decided_ts"])


def registry(warehouse: Path) -> Registry:
    from interest_model.config import load_settings

    return Registry(load_settings().tracking, warehouse / "_mlflow")


def given(warehouse: Path, **more) -> argparse.Namespace:
    return argparse.Namespace(warehouse=str(warehouse), config=[], set=[], **more)


def test_a_model_is_trained_judged_refused_and_rolled_back(spark, sample_log, warehouse, capsys):
    (first,) = train(spark, sample_log, warehouse)
    owner = Storage(spark, str(warehouse)).table_id("events")
    assert registry(warehouse).owners("interest_model") == {owner}
    assert (first["state"], first["version"], first["champion"], first["former"]) == ("promoted", "1", "1", None)
    assert first["figures"]["users"] >= 5 and first["from_run_date"] == date(2026, 1, 9)
    assert {"ndcg@10 challenger", "ndcg@10 popularity", "lead", "lead_low", "lead_high"} <= set(first["figures"])
    store = registry(warehouse)
    run = store.client.get_run(store.client.get_model_version("interest_model", "1").run_id)
    assert {one.dataset.name for one in run.inputs.dataset_inputs} == {"events", "items", "item_embeddings"}
    assert not list((warehouse / "_training").iterdir())

    # the same training again: found, not judged anew
    assert len(train(spark, sample_log, warehouse)) == 1
    # a worse one: never trained to speak of
    dull = "training.epochs=1", "training.learning_rate=0.0000001"
    worse = train(spark, sample_log, warehouse, *dull)[-1]
    assert (worse["state"], worse["version"], worse["champion"]) == ("refused", "2", "1")
    assert "champion 1" in worse["reason"]
    assert [row["aliases"] for row in store.rows("interest_model")] == ["challenger", "champion"]
    assert worse["figures"]["ndcg@10 champion 1"] == pytest.approx(first["figures"]["ndcg@10 challenger"])
    # the same under another gate: found, and judged again
    again = train(spark, sample_log, warehouse, *dull, "promotion.min_users=4")
    assert [row["version"] for row in again] == ["1", "2", "2"] and again[-1]["figures"]["min_users"] == 4
    assert again[-1]["figures"]["ndcg@10 challenger"] == worse["figures"]["ndcg@10 challenger"]
    # a registry that another warehouse fills as well
    store.client.set_model_version_tag("interest_model", "2", "warehouse", "another's events")
    with pytest.raises(UsageError, match="trainings of another warehouse"):
        train(spark, sample_log, warehouse)
    store.client.set_model_version_tag("interest_model", "2", "warehouse", owner)
    # one of an earlier day: the champion has seen what came after its cut
    with pytest.raises(UsageError, match="champion 1 has seen"):
        train(spark, sample_log, warehouse, "training.epochs=1", day=date(2026, 1, 6))

    commands.models(given(warehouse, model=""))
    printed = capsys.readouterr().out
    assert "refused" in printed and "champion" in printed and "lead_low" in printed

    commands.rollback(given(warehouse, model="interest_model"))
    held = decisions(Storage(spark, str(warehouse)))
    assert champion_as_of(held, "interest_model", date(2026, 1, 9)) is None
    assert [row["aliases"] for row in store.rows("interest_model")] == ["challenger", ""]
    with pytest.raises(UsageError, match="no champion"):
        commands.rollback(given(warehouse, model="interest_model"))

    # two seeds in two processes by TorchDistributor: the same job, another version
    several = ("training.shards=2", "training.ensemble=2", "training.epochs=2")
    both = train(spark, sample_log, warehouse, *several)[-1]
    assert both["version"] == "3" and both["figures"]["ndcg@10 challenger"] > 0
    assert len(store.load("interest_model", "3").model.members) == 2

    model = store.load("interest_model", "1")
    frame = pd.DataFrame({"items": [[], model.item_ids[:1]], "days": [[], [20462.0]], "at_day": [20463.0] * 2})
    assert [len(one) for one in model.recommend(frame, 10)["items"]] == [0, 10]

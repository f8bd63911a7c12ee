"""Each preset runs a night by its mapping alone, over the sample log of its kind."""

from datetime import date

import pytest

from interest_model.sample import write_log
from interest_model.sample_world import PRESETS
from interest_model.storage import Storage

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.long]
NIGHT = date(2026, 1, 8)


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"shop"}))  # the shop has nights in every other test
def test_a_preset_runs_a_night_by_configuration_alone(spark, run_nights, tmp_path, preset):
    write_log(tmp_path / "log", preset, users=60, days=8, seed=2, first_day=date(2026, 1, 1))
    night = run_nights(tmp_path / "log", tmp_path / "warehouse", NIGHT, source=preset)
    counts = night.steps[0].counts
    assert counts["read"] == sum(counts[name] for name in ("accepted", "rejected", "duplicates", "other_days"))
    assert counts["accepted"] > 0.9 * (counts["read"] - counts["other_days"])
    storage = Storage(spark, str(tmp_path / "warehouse"))
    users = storage.read("events").where("consumption").select("user_id").distinct()
    lists = storage.read_day("daily_recommendations", NIGHT)
    assert users.join(lists, "user_id", "left_anti").count() == 0
    titles = storage.read("items").where("title is not null")
    assert lists.join(titles, "item_id", "left_anti").count() == 0
    assert storage.read("item_embeddings").where("embedding is null").count() == 0

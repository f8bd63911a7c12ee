"""Versions of the hierarchy from night to night, and item topics that change only where they do."""

import dataclasses
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from pyspark.sql import functions as F

from interest_model.config import load_settings
from interest_model.encoding import item_embeddings
from interest_model.interest import topics
from interest_model.interest.states_of_users import population_shares
from interest_model.recommend.consumption import catalogue

pytestmark = pytest.mark.spark
CENTRES = np.eye(6, 12) * 3.0 + np.repeat(np.eye(3, 12, 6) * 6.0, 2, axis=0)  # three sections of two topics each
WORDS = ("kettle teapot", "saw hammer", "novel poem", "racket ball", "lamp bulb", "rose tulip")


def items_of(spark, n, seed=1, categories=None):
    """n items around six centres, item k near centre k mod 6 and with that centre's words; no item has categories."""
    noise = np.random.default_rng(seed).normal(0.0, 0.3, (n, 12))
    rows = [(f"i{k:03d}", WORDS[k % 6], categories[k] if categories else None) for k in range(n)]
    frame = spark.createDataFrame(rows, "item_id string, text string, categories array<string>")
    vectors = [(f"i{k:03d}", (CENTRES[k % 6] + noise[k]).tolist()) for k in range(n) if k != 7]
    embeddings = spark.createDataFrame(vectors, "item_id string, embedding array<float>")
    return topics.with_vectors(topics.gather_items(frame), embeddings)


@pytest.fixture
def settings():
    return load_settings(overrides=("topics.branching=[3, 2]", "topics.min_items=5", "topics.starts=8")).topics


def stored(spark, version, day):
    rows = topics.topic_rows(version, spark.createDataFrame([], "topic_version string"), day, "e1")
    return spark.createDataFrame(rows)


def test_items_without_a_vector_have_a_row_of_nan(spark):
    items = items_of(spark, 12)
    assert items.item_ids[7] == "i007" and np.isnan(items.vectors[7]).all()
    assert np.isfinite(np.delete(items.vectors, 7, axis=0)).all() and items.texts[0] == WORDS[0]


def test_a_learned_version_survives_the_table_and_places_new_items_without_changing(spark, settings):
    first = topics.next_version(None, items_of(spark, 60), settings, "20260101")
    rows = stored(spark, first, date(2026, 1, 1))
    base, number = topics.load_tree(rows, topics.BASE)
    later = topics.next_version(topics.Former(base, 3), items_of(spark, 72), settings, "20260104")
    assert later.shown.topic_ids.tolist() == first.shown.topic_ids.tolist()
    assert topics.topic_rows(later, rows.where("stage = 'shown'"), date(2026, 1, 4), "e1") is None
    assert len(number) == 16 and set(first.shown.tiers.tolist()) == {1, 2}
    labels = first.shown.labels[first.shown.in_tier(2)]
    assert sorted(label.split(", ")[0] for label in labels) == sorted(min(one.split()) for one in WORDS)


def test_another_encoder_learns_anew_at_once_and_keeps_the_ids(spark, settings, monkeypatch):
    for module in (topics, item_embeddings):
        monkeypatch.setattr(module, "encoder_version", lambda version: version)
    first = items_of(spark, 60)
    turn = np.random.default_rng(5).normal(size=(12, 9))
    texts = [(name, date(2026, 1, 1), text, None) for name, text in zip(first.item_ids, first.texts, strict=True)]
    known = [name != "i007" for name in first.item_ids]
    vectors = {"e1": first.vectors[known], "e2": first.vectors[known] @ turn}
    encoded = [
        (name, date(2026, 1, 1 if encoder == "e1" else 2), encoder, vector.tolist())
        for encoder, rows in vectors.items()
        for name, vector in zip(np.array(first.item_ids)[known].tolist(), rows, strict=True)
    ]
    kind = "item_id string, known_date date, encoder string, embedding array<float>"
    held = {
        "items": spark.createDataFrame(texts, "item_id string, known_date date, text string, categories array<string>"),
        "item_embeddings": spark.createDataFrame(encoded, kind),
    }
    rows = stored(spark, topics.next_version(None, first, settings, "20260101"), date(2026, 1, 1))

    def second(encoder):
        chosen = SimpleNamespace(topics=settings, encoder=encoder)
        night = SimpleNamespace(read=held.__getitem__, run_date=date(2026, 1, 2), settings=chosen)
        version = topics.next_version(*topics.former_and_items(night, rows), settings, "20260102")
        return version, topics.topic_rows(version, rows.where("stage = 'shown'"), date(2026, 1, 2), encoder)

    same, unchanged = second("e1")
    moved, written = second("e2")
    assert unchanged is None and same.base.centres.shape[1] == 12
    assert moved.base.centres.shape[1] == 9 and set(written.column("encoder").to_pylist()) == {"e2"}
    for tier, before in zip(moved.tiers, same.tiers, strict=True):
        assert (tier != before).nnz == 0
    assert moved.shown.topic_ids.tolist() == same.shown.topic_ids.tolist()
    assert moved.shown.labels.tolist() == same.shown.labels.tolist()


def test_what_is_in_force_is_as_old_as_its_learning_and_knows_all_names(spark, settings, monkeypatch, tmp_path):
    for module in (topics, item_embeddings):
        monkeypatch.setattr(module, "encoder_version", lambda version: version)
    version = topics.next_version(None, items_of(spark, 60), settings, "20260101")
    learned = stored(spark, version, date(2026, 1, 1))
    ruled = stored(spark, version._replace(age_days=19), date(2026, 1, 20))
    later = stored(spark, version, date(2026, 2, 20)).withColumn("label", F.lit("later"))
    old = F.when(F.col("tier") == 1, F.concat(F.lit("old "), F.col("label"))).otherwise(F.col("label"))
    held = {
        "topics": learned.withColumn("label", old).unionByName(ruled).unionByName(later),
        "items": spark.createDataFrame([], "item_id string, known_date date, text string, categories array<string>"),
        "item_embeddings": spark.createDataFrame(
            [], "item_id string, known_date date, encoder string, embedding array<float>"
        ),
    }
    chosen = SimpleNamespace(topics=dataclasses.replace(settings, rules="rules.yaml"), encoder="e1")
    night = SimpleNamespace(read=held.__getitem__, run_date=date(2026, 1, 25), settings=chosen)
    former, _ = topics.former_and_items(night, topics.version_in_force(held["topics"], night.run_date, included=False))
    assert former.age_days == 24
    wide = version.base.labels[0]
    assert {wide, f"old {wide}", version.base.topic_ids[-1]} <= former.names and "later" not in former.names
    assert any(name.startswith(f"old {wide} > ") for name in former.names)
    alike = ruled.withColumn("label", F.lit("alike"))
    held["topics"] = alike.where("run_date < '2026-01-25'")
    assert "alike" not in topics.former_and_items(night, alike)[0].names  # one name of several topics means none


def test_item_rows_change_only_where_topics_do(spark, settings):
    version = topics.next_version(None, items_of(spark, 60), settings, "20260101")
    ids = items_of(spark, 60).item_ids
    rows = spark.createDataFrame(topics.item_rows(version, ids, date(2026, 1, 1)))
    assert rows.where("size(topic_ids) = 0").select("item_id").collect()[0][0] == "i007"
    base, _ = topics.load_tree(stored(spark, version, date(2026, 1, 1)), topics.BASE)
    later = topics.next_version(topics.Former(base, 1), items_of(spark, 66), settings, "20260102")
    again = spark.createDataFrame(topics.item_rows(later, items_of(spark, 66).item_ids, date(2026, 1, 2)))
    changed = {row["item_id"] for row in topics.changed_rows(again, rows).collect()}
    assert changed == {f"i{k:03d}" for k in range(60, 66)}


def test_memberships_come_back_from_the_table(spark, settings):
    version = topics.next_version(None, items_of(spark, 60), settings, "20260101")
    rows = spark.createDataFrame(topics.item_rows(version, items_of(spark, 60).item_ids, date(2026, 1, 1)))
    wanted = ["i059", "unknown", "i000"]
    tiers = topics.load_memberships(rows, date(2026, 1, 5), version.shown, wanted)
    for tier, matrix in zip(version.tiers, tiers, strict=True):
        assert np.allclose(matrix.toarray()[[0, 2]], tier.toarray()[[59, 0]])
        assert matrix[1].nnz == 0
    before = topics.load_memberships(rows, date(2025, 12, 31), version.shown, wanted)
    assert all(matrix.nnz == 0 for matrix in before)


def test_categories_that_form_a_tree_are_the_hierarchy(spark, settings):
    paths = [["home", "kitchen"], ["home", "garden"], ["sport", "ball"]]
    items = items_of(spark, 30, categories=[paths[k % 3] for k in range(30)])
    version = topics.next_version(None, items, settings, "20260101")
    assert version.shown.by_category and not topics.needs_vectors(None, items, settings)
    assert topics.needs_vectors(version.base, items._replace(paths=[None, *items.paths[1:]]), settings)
    assert sorted(version.shown.labels) == ["ball", "garden", "home", "kitchen", "sport"]


def test_the_version_in_force_is_the_newest_before_the_night(spark, settings):
    version = topics.next_version(None, items_of(spark, 60), settings, "20260101")
    both = stored(spark, version, date(2026, 1, 1)).unionByName(stored(spark, version, date(2026, 1, 8)))
    for night, included, expected in (
        (date(2026, 1, 8), False, date(2026, 1, 1)),
        (date(2026, 1, 8), True, date(2026, 1, 8)),
        (date(2026, 1, 7), True, date(2026, 1, 1)),
        (date(2026, 1, 1), False, None),
    ):
        row = topics.version_in_force(both, night, included).select("run_date").head()
        assert (row["run_date"] if row else None) == expected


def test_events_without_weight_are_not_what_everybody_likes(spark, settings):
    """900 returns, of weight 0, of one item beside 100 purchases of another: the prior is of purchases alone."""
    items = items_of(spark, 2, categories=[["home", "kitchen"], ["sport", "ball"]])
    version = topics.next_version(None, items, settings, "20260101")
    day = date(2026, 1, 1)
    held = {
        "topics": stored(spark, version, day),
        "item_topics": spark.createDataFrame(topics.item_rows(version, items.item_ids, day)),
    }
    storage = SimpleNamespace(exists=lambda _: True)
    night = SimpleNamespace(read=held.__getitem__, run_date=day, storage=storage)
    one = spark.range(1000).selectExpr(
        "if(id < 100, 'i000', 'i001') item_id", "20454.5d day", "double(id < 100) weight"
    )
    tonight = topics._hierarchy(night, one, 20_455.0)
    assert tonight.item_ids.tolist() == ["i000", "i001"]
    sport = version.shown.topic_ids[version.shown.labels.tolist().index("sport")]
    found = population_shares(tonight.topics.memberships[0], tonight.topics.counts, 20_455.0, 28)
    shares = dict(zip(tonight.topics.ids[0], found, strict=True))
    assert shares[sport] == 0.0 and sum(shares.values()) == pytest.approx(1.0)
    assert tonight.topics.populations(0, 20_455.0).max() == pytest.approx(1.0)
    everything = catalogue(one, 20_455.0, 0)  # the ranker's own: what people took, whatever it weighs
    assert everything.counts.counts.sum() == 1000


def test_a_log_without_items_has_no_topics(spark, settings):
    version = topics.next_version(None, items_of(spark, 0), settings, "20260101")
    assert len(version.shown.topic_ids) == 0
    assert topics.item_rows(version, [], date(2026, 1, 1)).num_rows == 0


def test_categories_that_stay_keep_their_version_and_a_new_one_makes_another(spark, settings):
    paths = [["home", "kitchen"], ["home", "garden"], ["sport", "ball"]]
    items = items_of(spark, 30, categories=[paths[k % 3] for k in range(30)])
    first = topics.next_version(None, items, settings, "20260101")
    rows = stored(spark, first, date(2026, 1, 1))
    base, _ = topics.load_tree(rows, topics.BASE)
    shown = rows.where("stage = 'shown'")
    more = items_of(spark, 31, categories=[paths[k % 3] for k in range(31)])
    same = topics.next_version(topics.Former(base, 1), more, settings, "20260102")
    assert topics.topic_rows(same, shown, date(2026, 1, 2), "e1") is None
    assert same.shown.keywords == first.shown.keywords and same.shown.n_items.sum() > first.shown.n_items.sum()
    wider = topics.next_version(
        topics.Former(base, 1), more._replace(paths=[["zoo", "bear"], *more.paths[1:]]), settings, "20260102"
    )
    assert topics.topic_rows(wider, shown, date(2026, 1, 2), "e1").num_rows == 2 * (len(first.shown.topic_ids) + 2)

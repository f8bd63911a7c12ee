"""When topics are learned again, and what a version of them is refused for. No Spark."""

import dataclasses
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from interest_model.config import load_settings
from interest_model.errors import ConfigError, DataError
from interest_model.interest import topics

SETTINGS = load_settings(overrides=("topics.branching=[3, 2]", "topics.min_items=5", "topics.starts=4")).topics
CENTRES = np.eye(6, 12) * 3.0 + np.repeat(np.eye(3, 12, 6) * 6.0, 2, axis=0)  # three sections of two topics each
WORDS = ("kettle teapot", "saw hammer", "novel poem", "racket ball", "lamp bulb", "rose tulip")


def items_of(n: int) -> topics.TopicItems:
    """n items around six centres, item k near centre k mod 6 and with that centre's words."""
    noise = np.random.default_rng(1).normal(0.0, 0.3, (n, 12))
    vectors = np.array([CENTRES[k % 6] + noise[k] for k in range(n)], dtype=np.float32)
    return topics.TopicItems([f"i{k:04d}" for k in range(n)], [WORDS[k % 6] for k in range(n)], [None] * n, vectors)


def in_force(version: topics.Version):
    """Rows of table topics of a version, as far as topic_rows asks."""
    number = topics.topic_tree.tree_version(version.shown)
    return SimpleNamespace(select=lambda *_: SimpleNamespace(head=lambda: {"topic_version": number}))


def rows_of(version: topics.Version, before: topics.Version, day: date):
    return topics.topic_rows(version, in_force(before), day, "e1")


def test_topics_of_a_tiny_catalogue_are_learned_again_when_it_has_doubled():
    first = topics.next_version(None, items_of(12), SETTINGS, "20260101")
    former = topics.Former(first.base, 1)
    few = topics.next_version(former, items_of(23), SETTINGS, "20260102")
    assert few.base.topic_ids.tolist() == first.base.topic_ids.tolist() and few.age_days == 1
    assert few.base.n_items.tolist() == first.base.n_items.tolist()  # what doubling is counted from
    grown = topics.next_version(former, items_of(240), SETTINGS, "20260102")
    assert len(first.base.in_tier(2)) < len(grown.base.in_tier(2)) == 6 and grown.age_days == 0
    assert grown.base.n_items[grown.base.in_tier(1)].sum() == 240
    again = topics.next_version(topics.Former(grown.base, 1), items_of(241), SETTINGS, "20260103")
    assert again.base is grown.base


def test_a_refit_that_finds_the_same_topics_is_written_down_and_not_repeated():
    items = items_of(240)
    first = topics.next_version(None, items, SETTINGS, "20260101")
    still = topics.next_version(topics.Former(first.base, 27), items, SETTINGS, "20260128")
    assert rows_of(still, first, date(2026, 1, 28)) is None
    again = topics.next_version(topics.Former(first.base, 28), items, SETTINGS, "20260129")
    rows = rows_of(again, first, date(2026, 1, 29)).to_pylist()
    assert {row["topic_version"] for row in rows} == {topics.topic_tree.tree_version(first.shown)}
    assert {row["learned_date"] for row in rows} == {date(2026, 1, 29)}
    after = topics.next_version(topics.Former(again.base, 1), items, SETTINGS, "20260130")
    assert rows_of(after, again, date(2026, 1, 30)) is None


def test_an_edit_of_the_rules_does_not_postpone_the_next_refit(tmp_path):
    items = items_of(240)
    first = topics.next_version(None, items, SETTINGS, "20260101")
    one, other = first.base.topic_ids[-2:]
    (tmp_path / "rules.yaml").write_text(f"rules: [{{rule: merge, topic: {one}, other: {other}}}]")
    ruled = dataclasses.replace(SETTINGS, rules=str(tmp_path / "rules.yaml"))
    edited = topics.next_version(topics.Former(first.base, 20), items, ruled, "20260121")
    rows = rows_of(edited, first, date(2026, 1, 21)).to_pylist()
    assert {row["learned_date"] for row in rows} == {date(2026, 1, 1)}
    assert {row["stage"]: row["run_date"] for row in rows} == dict.fromkeys(("base", "shown"), date(2026, 1, 21))


def test_a_rule_about_a_topic_that_a_refit_dropped_does_not_fail_the_night(tmp_path):
    items = items_of(240)
    first = topics.next_version(None, items, SETTINGS, "20260101")
    (tmp_path / "rules.yaml").write_text(
        "rules: [{rule: forbid, topic: t-20251201-7}, {rule: pin, topic: x, item: i9}]"
    )
    ruled = dataclasses.replace(SETTINGS, rules=str(tmp_path / "rules.yaml"))
    former = topics.Former(first.base, 1, names=frozenset({"t-20251201-7", "x"}))
    version = topics.next_version(former, items, ruled, "20260102")
    assert [note.partition("rules.yaml, ")[2] for note in version.notes] == [
        "rule 1: left out, topic 't-20251201-7' is gone or has another name now",
        "rule 2: left out, topic 'x' is gone or has another name now",
    ]
    assert version.shown.topic_ids.tolist() == first.shown.topic_ids.tolist()
    with pytest.raises(ConfigError, match="rule 1: no topic 't-20251201-7'\n.*interest-model sql"):
        topics.next_version(former._replace(names=frozenset()), items, ruled, "20260102")


@pytest.mark.parametrize("categories", [True, False])
def test_a_night_whose_items_give_no_topics_leaves_those_in_force_alone(categories, tmp_path):
    items = items_of(60)
    if categories:
        items = items._replace(paths=[[f"d{k % 2}", f"c{k % 6}"] for k in range(60)])
    first = topics.next_version(None, items, SETTINGS, "20260101")
    none = items._replace(paths=[None] * 60, vectors=np.full((60, 12), np.nan, dtype=np.float32))
    (tmp_path / "rules.yaml").write_text("rules: [{rule: forbid, topic: c1}]")
    ruled = dataclasses.replace(SETTINGS, rules=str(tmp_path / "rules.yaml"))
    version = topics.next_version(topics.Former(first.base, 28), none, ruled, "20260129")
    with pytest.raises(DataError, match="table items, day 2026-01-29: no item has a category or vector.*\n.*mapping"):
        rows_of(version, first, date(2026, 1, 29))

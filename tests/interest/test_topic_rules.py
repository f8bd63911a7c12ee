import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.errors import ConfigError
from interest_model.interest.clusters import Growth, learn
from interest_model.interest.rule_files import Rule, read_rules
from interest_model.interest.topic_rules import Catalogue, _concerned, apply_rules, find_topic, names_of
from interest_model.interest.topic_tree import check_tree, from_categories, memberships

KITCHEN, GARDEN, SPORT, OFFICE = ["Home", "kitchen"], ["Home", "garden"], ["Clothing", "sport"], ["Clothing", "office"]
PATHS = [KITCHEN, GARDEN, SPORT, OFFICE, KITCHEN, None]
ITEMS = Catalogue(
    ["i1", "i2", "i3", "i4", "i5", "i6"], ["red teapot", "garden hose", "running shoe", "silk tie", "a pan", None]
)


def rule(kind, topic, other="", item="", keyword=""):
    return Rule(kind, topic, other, item, keyword, "rules.yaml, rule 1")


def ruled(*rules, paths=PATHS, items=ITEMS):
    """The tree after the rules, and for each item its shares by label at both tiers."""
    raw = from_categories(paths)
    tree, tiers, _ = apply_rules(raw, memberships(raw, paths), rules, items)
    check_tree(tree)
    labels = [tree.labels[tree.in_tier(tier)] for tier in (1, 2)]
    rows = [
        [{names[c]: round(float(w), 4) for c, w in zip(row.indices, row.data, strict=True)} for row in tier]
        for names, tier in zip(labels, tiers, strict=True)
    ]
    return tree, rows


def test_a_pin_gives_an_item_to_one_topic():
    _, (wide, narrow) = ruled(rule("pin", "garden", item="i1"), rule("pin", "Clothing > office", item="i6"))
    assert (wide[0], narrow[0]) == ({"Home": 1}, {"garden": 1})
    assert (wide[5], narrow[5]) == ({"Clothing": 1}, {"office": 1})
    assert narrow[1:5] == [{"garden": 1}, {"sport": 1}, {"office": 1}, {"kitchen": 1}]


def test_a_pin_to_a_topic_with_children_keeps_shares_below_it_or_takes_the_fullest_leaf():
    paths = [[["Home", "kitchen"], ["Home", "garden"], ["Clothing", "sport"]], *PATHS[1:]]
    _, (wide, narrow) = ruled(rule("pin", "Home", item="i1"), rule("pin", "Home", item="i3"), paths=paths)
    assert (wide[0], narrow[0]) == ({"Home": 1}, {"kitchen": 0.5, "garden": 0.5})
    assert narrow[2] == {"garden": 1}  # two items each: the first in order


def test_a_keyword_is_a_whole_word_and_gives_way_to_an_items_own_pin():
    pins = rule("pin", "sport", item="i2"), rule("pin", "kitchen", keyword="HOSE"), rule("pin", "sport", keyword="tea")
    _, (_, narrow) = ruled(*pins)
    assert narrow[:2] == [{"kitchen": 1}, {"sport": 1}]  # "tea" is no word of "teapot"
    assert ruled(pins[1])[1][1][1] == {"kitchen": 1}


def test_a_keyword_is_whole_in_any_script_and_found_however_its_accents_are_written():
    cafe, book = "café", "किताब"
    texts = ["un cafe\u0301 noir", f"एक {book}", f"{book}ें"]  # the last: of another form
    rules = [rule("pin", "kitchen", keyword=word) for word in (cafe, book)]
    found = _concerned(rules, Catalogue(["i1", "i2", "i3"], texts))
    assert [rows.tolist() for rows in found.values()] == [[0], [1]]
    emoji = ["\u2b50\ufe0fSale today", "\u2764\ufe0f x", "red sale\u200d", "resale", "sale\u200dx"]
    found = _concerned(
        [rule("pin", "kitchen", keyword=word) for word in ("sale", "\u2764")], Catalogue(list("12345"), emoji)
    )
    assert [rows.tolist() for rows in found.values()] == [[0, 2], [1]]


def test_merged_topics_add_up():
    tree, (wide, narrow) = ruled(rule("merge", "kitchen", other="sport"))
    assert tree.labels.tolist() == ["Clothing", "Home", "office", "garden", "kitchen"]
    assert (wide[2], narrow[2]) == ({"Home": 1}, {"kitchen": 1})
    assert tree.n_items.tolist() == [1, 4, 1, 1, 3]


def test_a_merge_of_wide_topics_joins_their_children():
    tree, (wide, narrow) = ruled(rule("merge", "Home", other="Clothing"))
    assert tree.labels.tolist() == ["Home", "office", "sport", "garden", "kitchen"]
    assert (wide[2], narrow[2]) == ({"Home": 1}, {"sport": 1})


def test_merges_chain_in_any_order_and_to_oneself_change_nothing():
    pairs = [("kitchen", "garden"), ("sport", "garden"), ("sport", "sport")]
    tree, (_, narrow) = ruled(*(rule("merge", topic, other) for topic, other in pairs))
    assert tree.labels.tolist() == ["Clothing", "office", "sport"]  # Home lost all its children
    assert [narrow[k] for k in (0, 1, 4)] == [{"sport": 1}] * 3


def test_a_child_moves_below_another_parent_and_labels_stay_distinct():
    paths = [["Home", "kitchen"], ["Clothing", "kitchen"], ["Clothing", "sport"]]
    items = Catalogue(["a", "b", "c"], ["x", "y", "z"])
    tree, (wide, _) = ruled(rule("parent_of", "Home", other="Clothing > kitchen"), paths=paths, items=items)
    home = np.flatnonzero(tree.labels == "Home")[0]
    below = tree.labels[tree.parents == home].tolist()
    assert below[0] == "kitchen" and below[1].startswith("kitchen (c-")
    assert wide == [{"Home": 1}, {"Home": 1}, {"Clothing": 1}]


def test_what_is_forbidden_wins_over_pins_and_the_rest_adds_up():
    paths = [[["Home", "kitchen"], ["Home", "garden"], ["Clothing", "sport"]], *PATHS[1:]]
    _, (wide, narrow) = ruled(rule("forbid", "kitchen", item="i1"), paths=paths)
    assert (wide[0], narrow[0]) == ({"Home": 0.5, "Clothing": 0.5}, {"garden": 0.5, "sport": 0.5})
    _, (_, narrow) = ruled(rule("forbid", "Home", keyword="pan"), rule("pin", "kitchen", item="i5"))
    assert narrow[4] == {}  # categories have no centres: nothing is left for it
    assert narrow[0] == {"kitchen": 1}


def test_a_topic_never_shown_goes_with_its_items():
    tree, (wide, narrow) = ruled(rule("forbid", "Home"), rule("pin", "garden", item="i3"))
    assert tree.labels.tolist() == ["Clothing", "office", "sport"]
    assert (wide[0], narrow[0], narrow[2]) == ({}, {}, {})
    raw = from_categories(PATHS)
    nothing = [rule("forbid", "Home"), rule("forbid", "Clothing")]
    tree, tiers, _ = apply_rules(raw, memberships(raw, PATHS), nothing, ITEMS)
    assert (len(tree.topic_ids), tiers) == (0, [])


def learned():
    """Four corners of a square, two wide topics (by the first dimension) with two leaves each, 30 items a corner."""
    corners = np.array([[-9, -1], [-9, 1], [9, -1], [9, 1]], dtype=np.float32).repeat(30, axis=0)
    vectors = np.hstack([corners, np.random.default_rng(1).normal(0, 0.05, (120, 1))]).astype(np.float32)
    tree = learn(vectors, Growth(branching=(4, 1), min_items=10), "1")
    return tree, vectors, Catalogue([f"i{k}" for k in range(120)], [None] * 120, vectors)


def test_a_learned_topic_gives_a_forbidden_item_to_the_nearest_leaf_left():
    tree, vectors, items = learned()
    raw = memberships(tree, vectors=vectors)
    own, home = raw[1][0].indices[0], tree.topic_ids[tree.in_tier(2)[raw[1][0].indices[0]]]
    distances = np.linalg.norm(tree.centres[tree.in_tier(2)] - tree.centres[tree.in_tier(2)[own]], axis=1)
    second = np.argsort(distances)[1]
    ruled_tree, tiers, _ = apply_rules(tree, raw, [rule("forbid", home, item="i0")], items)
    assert tiers[1][0].indices.tolist() == [second]
    assert (tiers[1][1:] != raw[1][1:]).nnz == 0
    hide = [rule("forbid", home, item="i0"), rule("forbid", tree.topic_ids[tree.in_tier(2)[second]])]
    _, tiers, _ = apply_rules(tree, raw, hide, items)
    assert tiers[1].shape[1] == 3 and tiers[1][0].nnz == 1  # the nearest that is shown


def test_a_merged_centre_is_the_mean_by_items():
    tree, vectors, items = learned()
    one, two = tree.topic_ids[tree.in_tier(1)][:2]
    after, *_ = apply_rules(tree, memberships(tree, vectors=vectors), [rule("merge", one, other=two)], items)
    np.testing.assert_allclose(after.centres[after.topic_ids == one][0], tree.centres[:2].mean(axis=0), rtol=1e-5)
    assert after.n_items[after.topic_ids == one] == 60


def test_no_rules_change_nothing():
    raw = from_categories(PATHS)
    tiers = memberships(raw, PATHS)
    assert apply_rules(raw, tiers, [], ITEMS) == (raw, tiers, ())


def test_the_catalogue_must_be_that_of_the_memberships():
    raw = from_categories(PATHS)
    with pytest.raises(ValueError, match="row by row"):
        apply_rules(raw, memberships(raw, PATHS[:4]), [rule("forbid", "Home")], ITEMS)


wide, narrow = st.sampled_from(["p", "q", "r"]), st.sampled_from(["p > a", "p > b", "q > a", "q > c", "r > b"])
item = st.sampled_from(list("01234"))
some_rule = st.one_of(
    st.builds(rule, st.just("merge"), wide, wide) | st.builds(rule, st.just("merge"), narrow, narrow),
    st.builds(rule, st.just("parent_of"), wide, narrow),
    st.builds(rule, st.just("forbid"), wide | narrow, item=item | st.just("")),
    st.builds(rule, st.just("pin"), wide | narrow, item=item),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(some_rule, max_size=5))
def test_after_any_rules_it_is_a_tree_and_adds_up(rules):
    paths = [["p", "a"], ["p", "b"], [["q", "a"], ["p", "b"]], ["q", "c"], ["r", "b"]]
    raw = from_categories(paths)
    try:
        tree, tiers, _ = apply_rules(raw, memberships(raw, paths), rules, Catalogue(list("01234"), [None] * 5))
    except ConfigError as error:  # the one that sound rules can meet together
        assert "no leaves left" in str(error)
        return
    check_tree(tree)
    for tier, shares in enumerate(tiers, start=1):
        sums = np.asarray(shares.sum(axis=1)).ravel()
        assert (np.isclose(sums, 1) | (sums == 0)).all()
        nodes = tree.in_tier(tier)
        assert tree.n_items[nodes].tolist() == (shares > 0).sum(axis=0).ravel().tolist()[0]
        if tier > 1:
            up = np.zeros((len(nodes), tiers[tier - 2].shape[1]))
            up[np.arange(len(nodes)), tree.parents[nodes]] = 1
            np.testing.assert_allclose((shares @ up), tiers[tier - 2].toarray(), rtol=1e-6)
    siblings = [(parent, label) for parent, label in zip(tree.parents, tree.labels, strict=True)]
    assert len(set(siblings)) == len(siblings)


def test_a_topic_goes_by_id_path_or_label():
    tree = from_categories([["Home", "kitchen"], ["Clothing", "sport"], ["Home", "sport"]])
    assert find_topic(tree, "home > SPORT", "f") == find_topic(tree, tree.topic_ids[4], "f") == 4
    assert find_topic(tree, "Kitchen", "f") == 3
    with pytest.raises(ConfigError, match="f: 2 topics are called 'sport'\n.*by its id: c-"):
        find_topic(tree, "sport", "f")
    with pytest.raises(ConfigError, match="f: no topic 'kitchn'\n.*kitchen"):
        find_topic(tree, "kitchn", "f")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (rule("pin", "cellar", item="i1"), "rule 1: no topic 'cellar'\n.*interest-model sql"),
        (rule("merge", "Home", other="sport"), "different tiers"),
        (rule("parent_of", "kitchen", other="sport"), "'sport' is of tier 2, 'kitchen' of tier 2\n.*tier just above"),
        (rule("parent_of", "sport", other="Home"), "tier just above"),
    ],
)
def test_rules_that_cannot_hold_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        ruled(wrong)


def noted(*rules, names=()):
    """What is said of the rules, and each item's leaves after them."""
    raw = from_categories(PATHS)
    tree, tiers, notes = apply_rules(raw, memberships(raw, PATHS), rules, ITEMS, names)
    labels = tree.labels[tree.in_tier(2)]
    return notes, [labels[row.indices].tolist() for row in tiers[1]]


BEFORE = names_of([("c-1", None, "Home"), ("c-2", "c-1", "Cellar"), ("c-3", None, "Work"), ("c-4", "c-3", "Desk")])
BEFORE |= names_of([("c-1", None, "House"), ("c-2", "c-1", "Wine")])


@pytest.mark.parametrize("name", ["c-2", "cellar", "Home > Cellar", "house > WINE"])
@pytest.mark.parametrize("kind", ["pin", "merge", "forbid", "parent_of"])
def test_a_rule_about_a_topic_that_is_gone_is_left_out_and_said(kind, name):
    given = {"pin": {"item": "i1"}, "merge": {"other": "garden"}, "parent_of": {"other": "garden"}}.get(kind, {})
    one, other = rule(kind, name, **given), rule("pin", "garden", item="i3")
    notes, leaves = noted(one, other, names=BEFORE)
    assert notes == (f"rules.yaml, rule 1: left out, topic '{name}' is gone or has another name now",)
    assert leaves == noted(other)[1] and leaves[2] == ["garden"]
    with pytest.raises(ConfigError, match="no topic 'attic'"):
        noted(rule(kind, "attic", **given), names=BEFORE)


def test_a_label_that_a_new_version_gave_twice_leaves_its_rule_out_and_one_that_never_meant_one_topic_is_refused():
    twice = [["Home", "lamps"], ["Work", "lamps"], ["Work", "desks"]]
    raw = from_categories(twice)
    items = Catalogue(["i1", "i2", "i3"], ["a", "b", "c"])
    pin = rule("pin", "Lamps", item="i3")
    once = names_of([("c-1", None, "Home"), ("c-2", "c-1", "lamps")])
    tree, tiers, notes = apply_rules(raw, memberships(raw, twice), [pin], items, once)
    homes = [raw.topic_ids[one] for one in np.flatnonzero(raw.labels == "lamps")]
    assert notes == (
        "rules.yaml, rule 1: left out, 2 topics are called 'Lamps' now: name one by its id: "
        f"{homes[0]} (home > lamps), {homes[1]} (work > lamps)",
    )
    assert tree.labels[tree.in_tier(2)][tiers[1][2].indices].tolist() == ["desks"]
    above = [None if one < 0 else raw.topic_ids[one] for one in raw.parents]
    always = names_of(zip(raw.topic_ids, above, raw.labels, strict=True))
    assert "lamps" not in always and {"home > lamps", "desks", "work", homes[0]} <= always
    with pytest.raises(ConfigError, match="2 topics are called 'Lamps'"):
        apply_rules(raw, memberships(raw, twice), [pin], items, always)


def test_a_topic_that_is_there_is_not_gone_whatever_it_was_called():
    notes, leaves = noted(rule("pin", "garden", item="i1"), names=names_of([("c-1", None, "garden")]))
    assert notes == () and leaves[0] == ["garden"]


def test_items_not_known_and_words_in_no_text_are_said():
    rules = (
        rule("pin", "garden", item="i99"),
        rule("forbid", "kitchen", keyword="teapots"),
        rule("pin", "sport", item="i1"),
    )
    notes, leaves = noted(*rules)
    assert notes == (
        "rules.yaml, rule 1: left out, no item 'i99' is known",
        "rules.yaml, rule 1: no item's text holds the keyword 'teapots'",
    )
    assert leaves[0] == ["sport"]
    assert noted(rules[0]) == (notes[:1], noted()[1])


def test_rules_about_many_items_take_room_for_their_shares_alone():
    """12,000 items, each of one of 1,500 leaves: a mask of items by leaves would be 18 MB."""
    paths = [[f"d{k % 20}", f"c{k % 1500}"] for k in range(12_000)]
    raw = from_categories(paths)
    items, tiers = Catalogue([str(k) for k in range(12_000)], ["cable"] * 12_000), memberships(raw, paths)
    for kind in ("pin", "forbid"):
        tracemalloc.start()
        apply_rules(raw, tiers, [rule(kind, raw.topic_ids[0], keyword="cable")], items)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 12_000_000, kind


def test_a_pin_to_a_topic_that_lost_its_leaves_is_refused():
    emptied = rule("parent_of", "Home", other="sport"), rule("parent_of", "Home", other="office")
    with pytest.raises(ConfigError, match="no leaves left"):
        ruled(*emptied, rule("pin", "Clothing", item="i1"))


YAML = """
rules:
  - {rule: pin, item: "17", topic: kitchen}
  - {rule: merge, topic: kitchen, other: garden}
  - {rule: forbid, topic: Home}
"""
CSV = "rule,topic,other,item,keyword\npin,kitchen,,17,\nmerge,kitchen,garden,,\nforbid,Home,,,\n"


def test_yaml_and_csv_say_the_same(tmp_path):
    (tmp_path / "rules.yaml").write_text(YAML)
    (tmp_path / "rules.csv").write_text("\ufeff" + CSV)
    read = [read_rules(tmp_path / name) for name in ("rules.yaml", "rules.csv")]
    kinds = [[(one.rule, one.topic, one.other, one.item, one.keyword) for one in rules] for rules in read]
    assert kinds[0] == kinds[1]
    assert kinds[0][0] == ("pin", "kitchen", "", "17", "")
    assert [rules[1].origin.partition(", ")[2] for rules in read] == ["rule 2", "line 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {rule: hide, topic: a}", "rule 1: key 'rule' is 'hide'\n.*forbid"),
        ("- {rule: pin, topic: a}", "rule 1: pin takes one of the keys item and keyword, found 0"),
        ("- {rule: forbid, topic: a, item: b, keyword: c}", "found 2"),
        ("- {rule: merge, topic: a}", "merge needs the key 'other'"),
        ("- {rule: merge, topic: a, other: b, item: c}", "merge does not take the key 'item'"),
        ("- {rule: pin, topic: a, itm: b}", "unknown key 'itm'"),
        (
            "- {rule: pin, topic: a, item: 0110065001}",
            "rule 1: key 'item' is no text, YAML reads 18901505\n.*in quotes",
        ),
        ("- {rule: pin, topic: a, item: 12:30}", "rule 1: key 'item' is no text, YAML reads 750\n.*in quotes"),
        ("- {rule: forbid, topic: a, keyword: no}", "rule 1: key 'keyword' is no text, YAML reads False\n.*in quotes"),
        ("- {rule: forbid, topic: 2024}", "rule 1: key 'topic' is no text, YAML reads 2024\n.*in quotes"),
        ("- {rule: pin, topic: a, keyword: '  '}", "rule 1: pin takes one of the keys item and keyword, found 0"),
        ("- pin", "rule 1: expected keys and values"),
        ("{}", "key 'rules' must be a list"),
    ],
)
def test_rules_that_cannot_be_read_are_refused(tmp_path, text, message):
    (tmp_path / "rules.yaml").write_text("rules:\n  " + text)
    with pytest.raises(ConfigError, match=rf"(?s)rules\.yaml.*{message}"):
        read_rules(tmp_path / "rules.yaml")


def test_a_blank_cell_is_no_keyword(tmp_path):
    (tmp_path / "rules.csv").write_text("rule,topic,other,item,keyword\nforbid,Home, ,,  \npin,Home,,, \n")
    with pytest.raises(ConfigError, match=r"rules\.csv, line 3: pin takes one of the keys item and keyword, found 0"):
        read_rules(tmp_path / "rules.csv")


def test_broken_csv_is_refused_with_its_line(tmp_path):
    (tmp_path / "rules.csv").write_text("rule,topic\nforbid,a\nforbid,a,b\n")
    with pytest.raises(ConfigError, match=r"rules\.csv, line 3: unknown key 'more columns"):
        read_rules(tmp_path / "rules.csv")
    with pytest.raises(ConfigError, match="cannot be read as CSV"):
        read_rules(tmp_path / "none.csv")

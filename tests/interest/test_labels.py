import numpy as np
import pytest
from scipy import sparse

from interest_model.errors import ConfigError
from interest_model.interest.labels import count_words, keywords, label_tree, languages, rarity
from interest_model.interest.topic_tree import from_categories, memberships

PATHS = [["x", "a"], ["x", "b"], ["y", "c"], ["y", "c"]]
TEXTS = ["teapot red kitchen", "knife red kitchen", "tent red", "Tents and rope"]


def tree_of(paths):
    """A learned tree in the form of these categories: its topics may be renamed."""
    tree = from_categories(paths)
    ids = np.array([f"t-1-{k}" for k in range(len(tree.labels))], dtype=object)
    return tree._replace(topic_ids=ids, labels=np.full(len(ids), "", dtype=object)), memberships(tree, paths)


def test_rarity_by_hand():
    counts = sparse.csr_matrix([[3.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    # words in all: 6, classes: 2, so A = 3; f = 3, 2, 1
    np.testing.assert_allclose(rarity(counts), np.log([2, 2.5, 4]))


def test_words_are_counted_by_stem_and_shown_as_met_most_often():
    words = count_words(["Running shoes, running!", "She runs and runs; the runs 2024", None, "x"], "english")
    assert words.stems.tolist() == ["run", "shoe"]
    assert words.words.tolist() == ["runs", "shoes"]
    assert words.counts.toarray().tolist() == [[2, 1], [3, 0], [0, 0], [0, 0]]


OTHER_SCRIPTS = {
    "hindi": ("हिन्दी किताब", "हिन्दी किताब"),
    "turkish": ("İSTANBUL IŞIK", "istanbul ışık"),
    "french": ("Cre\u0300me Crème", "crème"),  # the accent apart and in one sign
    "persian": ("کتاب\u200cها", "کتاب\u200cها"),
}


@pytest.mark.parametrize("language", OTHER_SCRIPTS)
def test_words_of_other_scripts_stay_whole(language):
    text, words = OTHER_SCRIPTS[language]
    assert sorted(count_words([text], language).words.tolist()) == sorted(words.split(" "))


def test_what_cannot_be_seen_makes_no_word():
    assert count_words(["book\u200c book a\ufe0f"], "none").words.tolist() == ["book"]


def test_ties_of_forms_go_by_alphabet():
    assert count_words(["shoes shoe"], "english").words.tolist() == ["shoe"]


def test_the_language_decides_on_stop_words_and_stems():
    text = ["Der Garten und die Gärten der Frau"]
    assert count_words(text, "german").stems.tolist() == ["frau", "gart"]
    assert count_words(text, "none").words.tolist() == ["der", "die", "frau", "garten", "gärten", "und"]
    assert {"english", "french", "russian", "none"} <= set(languages())
    with pytest.raises(ConfigError, match="klingon.*\n.*english"):
        count_words(text, "klingon")


def test_words_of_things_are_no_stop_words():
    english = count_words(["Don't say it isn\u2019t home, world or computer to them"], "english")
    assert english.words.tolist() == ["computer", "home", "say", "world"]


def test_texts_without_words():
    for texts in ([], [None, "", "the and 42"]):
        words = count_words(texts, "english")
        assert (words.counts.shape, len(words.words)) == ((len(texts), 0), 0)


def test_what_siblings_share_does_not_name_them():
    tree, tiers = tree_of(PATHS)
    found = keywords(tree, tiers, count_words(TEXTS, "english"))
    assert found[0][0] == "kitchen"  # names x among the topics of its tier ...
    assert (found[2][0], found[3][0]) == ("teapot", "knife")  # ... but neither of x's own children
    assert found[4][:2] == ("tent", "rope")
    assert found[2][-1] == "red"  # in every class


def test_keyword_scores_by_hand():
    tree, tiers = tree_of(PATHS)
    texts = ["pot pot red red red", "pot pot red red red", "red rope rope", ""]
    # tier 2: 13 words, 3 classes, A = 13/3; pot log(1 + 13/12) = 0.73, red log(1 + 13/21) = 0.48. Both twice below x:
    # A = 5, pot log(1 + 5/4) = 0.81, red log(1 + 5/6) = 0.61. In leaf a pot has 2 * sqrt(0.73 * 0.81) = 1.54 and
    # red 3 * sqrt(0.48 * 0.61) = 1.62
    words = count_words(texts, "english")
    assert keywords(tree, tiers, words)[2:] == [("red", "pot"), ("red", "pot"), ("rope", "red")]
    # tier 1: A = 13/2; pot 4 * log(1 + 13/8) = 3.86, red 6 * log(1 + 13/14) = 3.94
    assert keywords(tree, tiers, words)[:2] == [("red", "pot"), ("rope", "red")]
    fewer = count_words(["pot pot red red", "pot pot red red", *texts[2:]], "english")
    # A = 11/2; pot 4 * log(1 + 11/8) = 3.46, red 4 * log(1 + 11/10) = 2.97
    assert keywords(tree, tiers, fewer)[0] == ("pot", "red")


def test_a_category_keeps_its_name_and_gets_keywords():
    tree = from_categories(PATHS)
    named = label_tree(tree, memberships(tree, PATHS), count_words(TEXTS, "english"))
    assert named.labels.tolist() == tree.labels.tolist()
    assert named.keywords[2][0] == "teapot"


def test_labels_are_three_words_and_siblings_differ():
    paths = [["x", "a"], ["x", "b"], ["y", "c"]]
    tree, tiers = tree_of(paths)
    words = count_words(["apple pear plum fig", "apple pear plum kiwi", ""], "english")
    named = label_tree(tree, tiers, words)
    assert named.labels[2] == "fig, apple, pear"
    assert named.labels[4] == "topic t-1-4"  # no word at all
    same = label_tree(tree, tiers, count_words(["apple pear plum", "plum pear apple", ""], "english"))
    assert same.labels[2:4].tolist() == ["apple, pear, plum", "apple, pear, plum (t-1-3)"]


def test_one_more_keyword_tells_siblings_apart():
    tree, tiers = tree_of([["x", "a"], ["x", "b"]])
    often = "apple apple apple pear pear pear plum plum plum "
    named = label_tree(tree, tiers, count_words([often + "fig", often + "fig kiwi"], "english"))
    assert named.labels[1:].tolist() == ["apple, pear, plum", "apple, pear, plum, kiwi"]


def test_a_label_stays_while_its_words_are_still_keywords():
    tree, tiers = tree_of([["x", "a"], ["x", "b"]])
    words = count_words(["fig fig pear apple", "kiwi melon grape"], "english")
    tree = tree._replace(labels=np.array(["", "apple, pear", "plum, quince"], dtype=object)[[0, 1, 2]])
    named = label_tree(tree, tiers, words)
    assert named.labels[1:].tolist() == ["apple, pear", "grape, kiwi, melon"]


def test_a_kept_label_goes_before_a_new_one_of_the_same_words():
    tree, tiers = tree_of([["x", "a"], ["x", "b"]])
    words = count_words(["apple pear plum", "apple pear plum"], "english")
    tree = tree._replace(labels=np.array(["", "", "plum, pear, apple"], dtype=object))
    assert label_tree(tree, tiers, words).labels[1:].tolist() == ["apple, pear, plum (t-1-1)", "plum, pear, apple"]

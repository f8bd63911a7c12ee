"""Labels of topics: class-based TF-IDF over the texts of their items. No Spark."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import snowballstemmer
import stop_words
from scipy import sparse
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

from interest_model.errors import ConfigError
from interest_model.interest.topic_tree import TopicTree

LABEL_WORDS = 3
KEYWORDS = 8
NO_LANGUAGE = "none"
# vowel signs and accents written apart, which \w leaves out; not what chooses between forms of emoji and other signs
_VARIANTS = (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10))
_MARKS = "".join(
    chr(code)
    for code in range(0x300, 0x10000)
    if code not in _VARIANTS and unicodedata.category(chr(code)) in ("Mn", "Mc")
)
_IN_WORDS, _JOINERS = rf"[\w{re.escape(_MARKS)}]", "\u200c\u200d"  # joiners: within words of Persian and Hindi
# a word starts with a letter, has two characters or more, and may hold digits, hyphens and apostrophes
_WORD = re.compile(rf"[^\W\d_](?:(?:{_IN_WORDS}|['{_JOINERS}-])*{_IN_WORDS})")
_TURKISH = str.maketrans({"I": "\u0131", "\u0130": "i"})


class Words(NamedTuple):
    """counts (n_items, v) float32: how often each item's text has each stem; stems (v,) str, ascending; words (v,) str:
    the form in which a stem is met most often (ties: the first by alphabet)."""

    counts: sparse.csr_matrix
    stems: np.ndarray
    words: np.ndarray


def languages() -> tuple[str, ...]:
    """The languages that can be set: those with both a stemmer and stop words, and "none"."""
    both = set(snowballstemmer.algorithms()) & set(stop_words.AVAILABLE_LANGUAGES)
    return (*sorted(both), NO_LANGUAGE)


def check_language(language: str) -> None:
    """ConfigError for a language that is not in `languages()`."""
    if language not in languages():
        known = ", ".join(languages())
        raise ConfigError(f"topics.language: '{language}' has no stemmer or no stop words", f"take one of: {known}")


def count_words(texts: Sequence[str | None], language: str) -> Words:
    """Words of the items' texts, lower-cased, without the language's stop words, counted by stem; null: no words.

    Language "none" counts words as they stand; see check_language.
    """
    check_language(language)
    stopped = _stop_words(language)
    read = [[word for word in _WORD.findall(_lower(text or "", language)) if word not in stopped] for text in texts]
    if not any(read):
        return Words(sparse.csr_matrix((len(texts), 0), dtype=np.float32), np.array([], object), np.array([], object))
    counter = CountVectorizer(analyzer=list, dtype=np.float32)
    forms = counter.fit_transform(read)
    return _by_stem(forms.tocsr(), counter.get_feature_names_out(), language)


def whole_word(word: str) -> re.Pattern:
    """What finds a word or words in a text that is `composed`, in any case, but no part of a longer word."""
    before = rf"(?<!{_IN_WORDS})(?<!{_IN_WORDS}[{_JOINERS}])"
    return re.compile(rf"{before}{re.escape(composed(word))}(?![{_JOINERS}]?{_IN_WORDS})", re.IGNORECASE)


def composed(text: str) -> str:
    """The text with accents in one sign with their letter, where there is such a sign: to readers both look alike."""
    return unicodedata.normalize("NFC", text)


def _lower(text: str, language: str) -> str:
    text = composed(text).replace("\u2019", "'")
    if language == "turkish":
        return text.translate(_TURKISH).lower()
    return text.lower().replace("i\u0307", "i")  # what lower() makes of a capital i with a dot


def _stop_words(language: str) -> frozenset[str]:
    """scikit-learn's list for English: the other library's English list holds words such as home, world, computer."""
    if language == NO_LANGUAGE:
        return frozenset()
    listed = frozenset(stop_words.get_stop_words(language))
    return ENGLISH_STOP_WORDS | {word for word in listed if "'" in word} if language == "english" else listed


def _by_stem(forms: sparse.csr_matrix, words: np.ndarray, language: str) -> Words:
    """Counts of word forms (n, f), the forms in alphabetical order, summed by stem."""
    stemmed = words if language == NO_LANGUAGE else snowballstemmer.stemmer(language).stemWords(words.tolist())
    stems, column = np.unique(np.asarray(stemmed, dtype=str), return_inverse=True)
    ones = np.ones(len(words), dtype=np.float32)
    by_stem = sparse.csr_matrix((ones, (np.arange(len(words)), column)), shape=(len(words), len(stems)))
    often = np.asarray(forms.sum(axis=0)).ravel()
    by_use = np.lexsort((np.arange(len(words)), -often, column))
    _, first = np.unique(column[by_use], return_index=True)
    return Words((forms @ by_stem).tocsr(), stems.astype(object), words[by_use[first]].astype(object))


def rarity(counts: sparse.spmatrix) -> np.ndarray:
    """(v,) log(1 + A / f): f is how often a word comes in all classes, A the mean number of words of a class."""
    often = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    mean = often.sum() / max(1, counts.shape[0])
    return np.log1p(np.divide(mean, often, out=np.zeros_like(often), where=often > 0))


def _weighted(counts: sparse.spmatrix, weights: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(counts.multiply(weights[None, :]))


def keywords(
    tree: TopicTree, tiers: list[sparse.csr_matrix], words: Words, most: int = KEYWORDS
) -> list[tuple[str, ...]]:
    """Up to `most` words of each topic, best first, ties by stem; none where its items have no text.

    `tiers` are the memberships of the items whose texts were counted. A word's score is class-based TF-IDF
    (Grootendorst 2022, BERTopic: tf(t, c) * log(1 + A / f(t))), with the geometric mean of two rarities: among all
    topics of the tier and among the topic's siblings. A word that all siblings share sets them off from the rest of the
    tier, but not from each other.
    """
    found: list[tuple[str, ...]] = []
    for tier, weights in enumerate(tiers, start=1):
        counts = (weights.T @ words.counts).tocsr()
        anywhere = rarity(counts)
        for siblings in _siblings(tree.parents[tree.in_tier(tier)]):
            here = rarity(counts[siblings]) if len(siblings) > 1 else anywhere
            own = _weighted(counts[siblings], np.sqrt(anywhere * here))
            found += [_best(own[row], words.words, most) for row in range(len(siblings))]
    return found


def _siblings(parents: np.ndarray) -> list[np.ndarray]:
    """Rows that share a parent; children of a topic stand together, so the rows come in order."""
    return np.split(np.arange(len(parents)), np.flatnonzero(np.diff(parents)) + 1) if len(parents) else []


def _best(scores: sparse.csr_matrix, words: np.ndarray, most: int) -> tuple[str, ...]:
    scores.sort_indices()
    order = np.argsort(-scores.data, kind="stable")
    return tuple(words[column] for column in scores.indices[order[:most]])


def label_tree(tree: TopicTree, tiers: list[sparse.csr_matrix], words: Words) -> TopicTree:
    """The tree with keywords and labels; no two siblings share a label.

    A category keeps its name. A learned topic keeps the label it has while all words of the label are still among its
    keywords; otherwise its label is its first three keywords. Among siblings, those that keep theirs go first; another
    with the same words gets further keywords. A topic without words is "topic ID".
    """
    named = tree._replace(keywords=keywords(tree, tiers, words))
    kept = [
        tree.by_category or bool(label) and set(label.split(", ")) <= set(own)
        for label, own in zip(tree.labels, named.keywords, strict=True)
    ]
    wanted = [
        label if keep else ", ".join(own[:LABEL_WORDS])
        for label, keep, own in zip(tree.labels, kept, named.keywords, strict=True)
    ]
    return distinct_labels(named._replace(labels=np.array(wanted, dtype=object)), kept)


def distinct_labels(tree: TopicTree, first: Sequence[bool]) -> TopicTree:
    """The tree with labels made distinct among siblings by further keywords; topics marked in `first` choose first."""
    labels = tree.labels.copy()
    for siblings in _siblings(tree.parents):
        taken: set[frozenset[str]] = set()
        for node in sorted(siblings, key=lambda node: (not first[node], node)):
            labels[node] = next(one for one in _candidates(tree, node) if _as_words(one) not in taken)
            taken.add(_as_words(labels[node]))
    return tree._replace(labels=labels)


def _as_words(label: str) -> frozenset[str]:
    """Labels of the same words in another order look the same to a reader."""
    return frozenset(label.casefold().split(", "))


def _candidates(tree: TopicTree, node: int) -> Iterable[str]:
    """A topic's label, the label with one more keyword each time, and last with the topic's id, which is distinct."""
    label, topic = tree.labels[node], tree.topic_ids[node]
    if label:
        yield label
        parts = label.split(", ")
        for word in tree.keywords[node]:
            if word not in parts:
                parts.append(word)
                yield ", ".join(parts)
    yield f"{label} ({topic})" if label else f"topic {topic}"

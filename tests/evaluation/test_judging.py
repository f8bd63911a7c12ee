import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from interest_model.config import load_settings
from interest_model.evaluation import judging
from interest_model.interest.states_of_users import States
from interest_model.interest.status import FADING, GONE, NEW, RETURNING, RISING, STABLE
from interest_model.recommend import scoring
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.histories import take
from tests.recommend.worlds import checkerboard, fitted, histories

SETTINGS = load_settings(overrides=["evaluation.bootstrap_replicates=20", "evaluation.cutoffs=[2, 4, 10]"]).evaluation
N_ITEMS = 40
SILENT = {"nearby", "interests", "sequence"}  # the board has none of them
MODELS = {judging.RANKER, *MEMBERS, "popular_7_days"} - SILENT
NOVEL = MODELS - {"own", "own_recent"}  # where seen items are left out there is nothing of one's own to list


@pytest.fixture(scope="module")
def board():
    world = checkerboard()
    return world, fitted(world, N_ITEMS, 40.0, neighbours=20, ease_l2=5.0, lessons=0)


def cases(known, truth: dict[int, list[int]], listed=None) -> judging.Cases:
    """truth: user position to items taken; listed: user position to the issued list."""
    lists = np.full((known.n_users, 4), -1)
    for row, items in (listed or {}).items():
        lists[row, : len(items)] = items
    pairs = [(row, item) for row, items in sorted(truth.items()) for item in sorted(items)]
    rows, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return judging.Cases(known, rows, items, lists)


def unseen(world, user: int) -> list[int]:
    own = set(world.items[world.indptr[user] : world.indptr[user + 1]].tolist())
    return [item for item in range(N_ITEMS) if item not in own]


def test_the_issued_list_is_what_is_judged(board):
    world, model = board
    first, second = unseen(world, 0)[:2]
    found = judging.judge(cases(world, {0: [second]}, {0: [first, second]}), model, 40.0, SETTINGS, repeats=False)
    assert found.value(("novel", "ranker", "ndcg", 2, "all")) == pytest.approx(1 / np.log2(3))
    assert found.value(("novel", "ranker", "mrr", 2, "all")) == 0.5
    assert found.values[("novel", "ranker", "ndcg", 2, "all")][1] == 1


def test_who_took_only_known_items_is_judged_in_the_repeat_variant_only(board):
    world, model = board
    own = int(world.items[world.indptr[5]])
    found = judging.judge(cases(world, {5: [own]}), model, 40.0, SETTINGS, repeats=True, issued=False)
    assert ("novel", "ranker", "ndcg", 2, "all") not in found.values
    assert found.values[("repeat", "ranker", "ndcg", 2, "all")][1] == 1
    assert found.value(("repeat", "own", "recall", 4, "all")) in (0.0, 1.0)


def test_no_repeat_variant_where_the_domain_does_not_repeat(board):
    world, model = board
    found = judging.judge(cases(world, {5: unseen(world, 5)[:1]}), model, 40.0, SETTINGS, repeats=False)
    assert {key[0] for key in found.values} == {"novel"}


def test_who_has_history_and_truth_but_no_list_counts_zero(board):
    world, model = board
    one, other = unseen(world, 0)[0], unseen(world, 1)[0]
    found = judging.judge(cases(world, {0: [one], 1: [other]}, {0: [one]}), model, 40.0, SETTINGS, repeats=False)
    assert found.value(("novel", "ranker", "hit_rate", 2, "all")) == 0.5
    assert found.values[("novel", "ranker", "novelty", 2, "all")][1] == 1
    for name in NOVEL:  # the others stand on the same rows: nobody serves user 1
        assert found.values[("novel", name, "ndcg", 2, "all")][1] == 2
        assert found.value(("novel", name, "hit_rate", 4, "all")) <= 0.5


def test_an_item_the_catalogue_did_not_know_counts_as_missed(board):
    world, model = board
    one = unseen(world, 0)[0]
    found = judging.judge(cases(world, {0: [one, N_ITEMS + 3]}, {0: [one]}), model, 40.0, SETTINGS, repeats=False)
    assert found.value(("novel", "ranker", "recall", 2, "all")) == 0.5
    assert found.value(("novel", "ranker", "recall", 2, "new_items")) == 0.0


def test_a_hit_on_an_item_of_few_users_counts_more_in_the_debiased_figure(board):
    world, model = board
    common, rare, lost = unseen(world, 0)[:2] + [N_ITEMS + 3]
    learned = model.collaborative._replace(item_users=np.where(np.arange(N_ITEMS) == common, 8.0, 3.0))
    model = dataclasses.replace(model, collaborative=learned)
    key = ("novel", "ranker", "ndcg_debiased", 2, "all")
    weight = {common: 1 / 3, rare: 1 / 2, lost: 1.0}  # the catalogue does not know the last: as if it had no users
    for listed in ([common, 39], [rare, 39], [rare, common]):
        given = cases(world, {0: [common, rare, lost]}, {0: listed})
        found = judging.judge(given, model, 40.0, SETTINGS, repeats=False)
        gain = sum(weight.get(item, 0.0) / np.log2(rank + 2) for rank, item in enumerate(listed))
        assert found.value(key) == pytest.approx(gain / (1.0 + 0.5 / np.log2(3)))
        assert found.values[key][2] is not None  # with its bootstrap


def test_people_without_history_are_judged_on_the_fallback_list_and_nowhere_else(board):
    _, model = board
    best = int(scoring.fallback(model, 1)[0][0])
    found = judging.judge(cases(histories({"nobody": []}), {0: [best]}), model, 40.0, SETTINGS, repeats=False)
    assert {key[4] for key in found.values} == {"no_history"}
    assert found.value(("novel", "ranker", "ndcg", 2, "no_history")) == 1.0


def test_who_acted_without_consuming_is_judged_on_the_list_they_were_issued(board):
    """Viewers of a shop are listed for by what everybody buys, made diverse: not the list of people never seen."""
    _, model = board
    common = scoring.fallback(model, 4)[0].tolist()
    issued = [item for item in range(N_ITEMS) if item not in common][:2]
    known = histories({"viewer": [], "nobody": []})
    for repeats, own in ((False, "novel"), (True, "repeat")):
        given = cases(known, {0: [issued[1]], 1: [common[0]]}, {0: issued})
        found = judging.judge(given, model, 40.0, SETTINGS, repeats)
        assert found.value((own, "ranker", "ndcg", 2, "no_history")) == pytest.approx((1 / np.log2(3) + 1) / 2)
        assert found.value((own, "popularity", "ndcg", 2, "no_history")) == 0.5
    assert found.value(("novel", "ranker", "ndcg", 2, "no_history")) == 0.5  # issued lists are of the other variant


def test_segments_split_the_users(board):
    world, model = board
    short = histories(
        {"new": [(0, 1.0)], "light": [(k, float(k)) for k in range(4)], "heavy": [(k, float(k)) for k in range(20)]}
    )
    found = judging.judge(cases(short, {0: [39], 1: [39], 2: [39]}), model, 40.0, SETTINGS, repeats=False, issued=False)
    counts = [
        found.values[("novel", "ranker", "ndcg", 2, name)][1]
        for name in ("all", "new_users", "light_users", "heavy_users")
    ]
    assert counts == [3, 1, 1, 1]


def test_a_user_moved_whose_interest_rose_faded_went_came_back_or_jumped():
    found = {name: np.zeros(7) for name in States._fields}
    found |= {"users": np.array([0, 0, 1, 2, 3, 4, 5]), "sudden": np.arange(7) == 6}
    found["status"] = np.array([STABLE, RISING, FADING, GONE, RETURNING, NEW, STABLE])
    assert judging.moved_users(States(**found), 7).tolist() == [True] * 4 + [False, True, False]


def test_every_model_and_floor_is_judged(board):
    world, model = board
    found = judging.judge(cases(world, {0: unseen(world, 0)[:2]}), model, 40.0, SETTINGS, repeats=True, issued=False)
    judged = {variant: {key[1] for key in found.values if key[0] == variant} for variant in ("novel", "repeat")}
    assert judged == {"novel": NOVEL, "repeat": MODELS}


def test_the_planted_world_is_found_and_the_floors_are_beaten(board):
    world, model = board
    truth = {user: [item for item in unseen(world, user) if item % 2 == user % 2] for user in range(60)}
    found = judging.judge(cases(world, truth), model, 40.0, SETTINGS, repeats=False, issued=False)
    figure = {name: found.value(("novel", name, "ndcg", 4, "all")) for name in NOVEL}
    assert figure["ranker"] > 0.9 and figure["ease"] > 0.9
    assert figure["popularity"] < 0.8 and figure["popular_7_days"] < 0.8


def test_parts_merge_to_the_whole_through_arrow(board):
    world, model = board
    truth = {user: unseen(world, user)[user % 3 :: 7] for user in range(60)}
    whole = judging.judge(cases(world, truth), model, 40.0, SETTINGS, repeats=True, issued=False)
    batches = []
    for start in (0, 25):
        users = np.arange(start, min(start + 35, 60) if start else 25)
        part = cases(take(world, users), {place: truth[user] for place, user in enumerate(users)})
        batches.append(judging.judge(part, model, 40.0, SETTINGS, repeats=True, issued=False).to_arrow())
    merged = judging.Sums.from_arrow(pa.Table.from_batches(batches), N_ITEMS)
    assert merged.values.keys() == whole.values.keys()
    for key, (total, n_users, boot, listed) in whole.values.items():
        other = merged.values[key]
        assert (other[0], other[1]) == (pytest.approx(total), n_users), key
        if boot is not None:
            assert other[2][0] == pytest.approx(boot[0]) and np.array_equal(other[2][1], boot[1])
        assert (listed is None) == (other[3] is None)
        assert listed is None or np.array_equal(listed, other[3])


def test_cases_come_from_arrow_rows():
    table = pa.table(
        {
            "user_id": ["a", "b"],
            "items": pa.array([[3], []], pa.list_(pa.int32())),
            "days": pa.array([[1.0], []], pa.list_(pa.float64())),
            "weights": pa.array([[1.0], []], pa.list_(pa.float64())),
            "truth": pa.array([[5, 4, 5], [6]], pa.list_(pa.int32())),
            "listed": pa.array([[9, 8, 7], None], pa.list_(pa.int32())),
        }
    )
    read = judging.from_batch(table)
    assert (read.truth_rows.tolist(), read.truth_items.tolist()) == ([0, 0, 1], [4, 5, 6])
    assert read.listed.tolist() == [[9, 8, 7], [-1, -1, -1]]
    assert read.histories.items.tolist() == [3]


def test_lists_made_elsewhere_are_judged_as_the_same_lists_issued_would_be(board):
    world, model = board
    truth = {user: unseen(world, user)[1:3] for user in range(4)}
    lists = {user: unseen(world, user)[:4] for user in range(3)}  # the fourth user has none and counts zero
    given = cases(world, truth, lists)
    as_issued = judging.judge(given, model, 40.0, SETTINGS, repeats=False)
    brought = {("novel", "peer"): given.listed, ("novel", "other order"): given.listed[:, [0, 3, 1, 2]]}
    elsewhere = judging.judge_lists(brought, given, model, 40.0, SETTINGS)
    wanted = {key: as_issued.value(key) for key in as_issued.values if key[1] == "ranker"}
    peer = {(key[0], "ranker", *key[2:]): elsewhere.value(key) for key in elsewhere.values if key[1] == "peer"}
    assert peer == wanted
    assert elsewhere.values["novel", "peer", "ndcg", 2, "all"][1] == 4
    assert elsewhere.value(("novel", "other order", "mrr", 4, "all")) != peer["novel", "ranker", "mrr", 4, "all"]

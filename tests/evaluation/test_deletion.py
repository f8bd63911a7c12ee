import numpy as np
import pytest

from interest_model.evaluation.deletion import score_drops
from interest_model.recommend import scoring
from interest_model.recommend.histories import take
from tests.recommend.worlds import checkerboard, fitted


@pytest.fixture(scope="module")
def board():
    world = checkerboard()
    model = fitted(world, 40, 40.0, neighbours=20, ease_l2=5.0)
    return world, model, scoring.recommend(world, model, 40.0, 8, repeats=False)


def test_named_events_carry_more_than_others(board):
    world, model, lists = board
    drops = score_drops(world, model, 40.0, lists, repeats=False, seed=1)
    assert len(drops.named) > 30
    assert drops.named.mean() > 2 * drops.drawn.mean()
    assert (drops.named > drops.drawn).mean() > 0.7


def test_names_that_say_nothing_are_found_out(board):
    """Own items named at random lose no more than other events do."""
    world, model, lists = board
    rng = np.random.default_rng(2)
    picked = [rng.permutation(world.items[world.indptr[user] : world.indptr[user + 1]])[:3] for user in lists.users]
    blind = lists._replace(because=np.array(picked, dtype=np.int64))
    drops = score_drops(world, model, 40.0, blind, repeats=False, seed=1)
    difference = drops.named - drops.drawn
    assert difference.mean() < 3 * difference.std() / np.sqrt(len(difference))  # within what chance gives


def test_nobody_to_ask(board):
    world, model, _ = board
    nobody = take(world, np.array([], dtype=int))
    lists = scoring.recommend(nobody, model, 40.0, 5, repeats=False)
    assert len(score_drops(nobody, model, 40.0, lists, repeats=False, seed=1).named) == 0

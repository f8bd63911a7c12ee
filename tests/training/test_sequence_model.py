import dataclasses

import numpy as np
import pytest
import torch

from interest_model.config import conf_dir, load_settings
from interest_model.errors import DataError
from interest_model.interest.model import Ensemble, InterestModel
from interest_model.training.batches import Sequences
from interest_model.training.ranking import cases_after, model_lists
from interest_model.training.sequence_model import Past, affordable, known_at, mean_ndcg, train
from tests.interest.parts import model_settings
from tests.recommend.worlds import histories
from tests.training.worlds import FEATURES, N_ITEMS, cycle, past, quick, small_model


def weights_of(model) -> list:
    return [one.tolist() for one in model.parameters()]


def test_a_world_is_learned_and_the_epochs_come_from_its_past():
    found = train(past(), small_model(), quick())
    assert found.n_validated == 60 and found.epochs == found.search.best_epoch + 1
    assert len(found.finals["final"].losses) == found.epochs and found.finals["final"].scores == []
    unseen = cases_after(cycle(seed=5), 11.0, True, 100, 0)
    assert mean_ndcg(found.model, unseen) > 0.9


def test_what_comes_after_the_inner_cut_does_not_choose_the_weights_of_the_search():
    seen = []
    train(past(), small_model(), quick(epochs=2), report=lambda name, progress: seen.append((name, progress.score)))
    assert [name for name, _ in seen] == ["search"] * 2 + ["final"] * 2
    assert all(score is not None for name, score in seen if name == "search")


def test_killed_and_resumed_is_the_same_training(tmp_path):
    whole = train(past(), small_model(), quick(epochs=4))

    def kill(name, progress):
        if (name, progress.epoch) == ("final", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(past(), small_model(), quick(epochs=4), tmp_path, kill)
    told = []
    resumed = train(past(), small_model(), quick(epochs=4), tmp_path, lambda name, one: told.append((name, one.epoch)))
    assert weights_of(resumed.model) == weights_of(whole.model)
    assert resumed.search.scores == whole.search.scores
    assert "search" not in dict(told)


@pytest.mark.parametrize("loss", ["softmax", "sampled", "bce"])
def test_items_of_later_are_no_negatives_of_the_search(loss):
    """Five items of after the inner cut, first in the catalogue: the search learns what it learns without them."""
    world, kind, settings = past(), small_model(loss=loss), quick(epochs=2)
    texts = np.concatenate([np.ones((5, 6), np.float32), FEATURES.vectors["text"]])
    days = np.concatenate([np.full(5, 11.5), FEATURES.first_days])
    moved = world.sequences.histories._replace(items=world.sequences.histories.items + np.int32(5))
    features = FEATURES._replace(n_items=N_ITEMS + 5, vectors={"text": texts}, first_days=days)
    more = world._replace(sequences=Sequences(moved), features=features)
    found = train(more, kind, settings)
    assert found.search.losses == train(world, kind, settings).search.losses
    assert found.model.tower.n_items == N_ITEMS + 5 and found.n_validated == 60


def test_the_search_is_validated_over_the_whole_catalogue(monkeypatch):
    """Everyone takes item 11 - d on day d: of the last day's item nothing is known but its text."""
    users = {f"u{user}": [(11 - day, day + 0.01 * user) for day in range(N_ITEMS)] for user in range(10)}
    features, sizes = FEATURES._replace(first_days=11.0 - np.arange(N_ITEMS)), []

    def lists(model, cases, length):
        sizes.append((model.tower.n_items, model.tower.id_rows.tolist()))
        return model_lists(model, cases, length)

    monkeypatch.setattr("interest_model.training.sequence_model.model_lists", lists)
    found = train(Past(Sequences(histories(users)), features, 12.0, True), small_model(), quick(epochs=1))
    assert sizes == [(N_ITEMS, [-1, *range(11)])] and len(found.search.scores) == 1


def unjudged() -> Past:
    """Nobody has events on both sides of day 10, where the inner cut lies: all epochs are fitted."""
    early = {f"u{user}": [(0, 1.0 + user), (1, 1.5 + user), (2, 1.7 + user)] for user in range(3)}
    return Past(Sequences(histories(early | {"late": [(0, 10.0), (1, 11.0)]})), FEATURES, 12.0, True)


def test_a_past_that_nobody_can_be_judged_on_is_fitted_for_all_epochs():
    found = train(unjudged(), small_model(), quick(epochs=2))
    assert (found.n_validated, found.epochs, found.search.losses) == (0, 2, [])


def test_a_past_whose_inner_slice_holds_no_whole_window_is_fitted_for_all_epochs():
    """Eight days and windows of seven and a half: before the inner cut, at 7.2 days, no window has ended."""
    users = {f"u{user}": [(day % N_ITEMS, 0.001 * user + day / 3) for day in range(25)] for user in range(4)}
    world = Past(Sequences(histories(users)), FEATURES, 8.5, True)
    found = train(world, small_model(), quick(epochs=2, target="window", horizon_days=7.5))
    assert found.n_validated > 0 and (found.epochs, found.search.losses) == (2, [])


def test_members_are_the_models_of_consecutive_seeds():
    alone = [train(unjudged(), small_model(), quick(epochs=2, seed=seed)) for seed in (5, 6, 7)]
    assert all(isinstance(one.model, InterestModel) and [*one.finals] == ["final"] for one in alone)
    found = train(unjudged(), small_model(), quick(epochs=2, seed=5, ensemble=3))
    assert [weights_of(one) for one in found.model.members] == [weights_of(one.model) for one in alone]
    assert [*found.finals] == ["final", "final-2", "final-3"]
    assert [*found.finals.values()] == [one.finals["final"] for one in alone]
    first, second, third = (weights_of(one) for one in found.model.members)
    assert first != second != third != first


def test_an_ensemble_learns_for_the_epochs_of_its_first_seed_and_is_the_same_again():
    found, same = (train(past(), small_model(), quick(epochs=6, ensemble=2)) for _ in range(2))
    one = train(past(), small_model(), quick(epochs=6))
    assert found.search.scores == one.search.scores and found.epochs == one.epochs
    assert [len(each.losses) for each in found.finals.values()] == [one.epochs] * 2
    assert weights_of(found.model.members[0]) == weights_of(one.model)  # its first member is the model of one seed
    assert isinstance(found.model, Ensemble) and not found.model.training
    assert weights_of(found.model) == weights_of(same.model)
    assert mean_ndcg(found.model, cases_after(cycle(seed=5), 11.0, True, 100, 0)) > 0.9


def test_an_ensemble_killed_in_its_second_member_goes_on_there(tmp_path):
    kind, settings = small_model(dropout=0.2), quick(epochs=4, ensemble=3)
    whole = train(past(), kind, settings)

    def kill(name, progress):
        if (name, progress.epoch) == ("final-2", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(past(), kind, settings, tmp_path, kill)
    assert {one.name for one in tmp_path.iterdir()} == {"search", "final", "final-2"}
    told = []
    resumed = train(past(), kind, settings, tmp_path, lambda name, one: told.append((name, one.epoch)))
    assert told[0] == ("final-2", 1) and {name for name, _ in told} == {"final-2", "final-3"}
    assert weights_of(resumed.model) == weights_of(whole.model) and resumed.finals == whole.finals


def test_a_past_with_nothing_to_learn_is_an_error():
    with pytest.raises(DataError, match="nothing to learn"):
        train(Past(cycle(n_users=6, days=1), FEATURES, 12.0, True), small_model(), quick())
    with pytest.raises(DataError, match="training.target=next"):
        train(past(), small_model(), quick(target="window", horizon_days=28.0))


def test_a_large_catalogue_is_trained_with_samples():
    kind, settings = small_model(), quick(softmax_items=5)
    assert affordable(kind, 6, settings).loss == "sampled" and affordable(kind, 5, settings) == kind
    scored = dataclasses.replace(kind, loss="bce")
    assert affordable(scored, 6, settings) == scored


def test_a_perceptron_takes_samples_where_its_hidden_values_would_not_fit():
    """64 sequences x 20 positions x 128 units: 2^28 of them are 1,638.4 items."""
    kind, settings = model_settings(head="mlp", hidden=128), quick(batch_size=64, positions=20)
    found = [affordable(kind, n_items, settings).loss for n_items in (1638, 1639)]
    assert found == ["softmax", "sampled"]
    assert affordable(kind, 1000, dataclasses.replace(settings, positions=0)).loss == "sampled"  # all 128 positions
    assert affordable(dataclasses.replace(kind, bidirectional=True), 30_000, settings).loss == "softmax"  # its last
    assert affordable(dataclasses.replace(kind, head="dot"), 30_000, settings).loss == "softmax"


def test_items_of_later_have_no_embedding_yet():
    features = FEATURES._replace(first_days=np.arange(12.0))
    assert known_at(features, 3.0).id_rows.tolist() == [0, 1, 2, *[-1] * 9]


@pytest.mark.parametrize("name", ["shop", "news"])
def test_the_worked_cases_train_and_score(name):
    settings = load_settings([conf_dir() / "models" / f"{name}.yaml"], ["training.epochs=1", "training.horizon_days=2"])
    found = train(past(n_users=12), settings.model, settings.training)
    assert found.model.settings.encoder == settings.model.encoder
    cases = cases_after(cycle(seed=5), 11.0, True, 100, 0)
    assert 0 <= mean_ndcg(found.model, cases) <= 1 and torch.isfinite(found.model.tower.ids.weight).all()

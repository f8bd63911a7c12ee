import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from interest_model.interest import model as zoo
from interest_model.interest.dynamics import DYNAMICS, ENCODERS, Batch
from interest_model.interest.heads import HEADS
from interest_model.interest.item_tower import ItemFeatures
from interest_model.interest.model import InterestModel
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.training.batches import Sequences, TrainingBatches, scoring_batches
from interest_model.training.fit import Course, Progress, TrainingData, fit
from tests.interest.parts import fit_settings, model_settings
from tests.recommend.worlds import histories

N_ITEMS = 12
SMALL = {"embedding": 16, "hidden": 24, "layers": 1, "dropout": 0.0, "id_dropout": 0.0, "max_length": 20}
QUICK = fit_settings(epochs=1, batch_size=16, learning_rate=1e-2, negatives=8, patience=0)
LOSS_OF_HEAD = {"mlp": "bce", "attention": "sampled", "dot": "softmax"}


def cycle(n_users: int = 48, seed: int = 0, n_items: int = N_ITEMS) -> Sequences:
    """After item k comes item k + 1, and after the last the first; one a day; the value of item k is k / 2."""
    rng = np.random.default_rng(seed)
    users, places = {}, []
    for user in range(n_users):
        start, length = rng.integers(n_items), rng.integers(2, 14)
        users[f"u{user:02d}"] = [(int(start + step) % n_items, step + rng.random()) for step in range(length)]
        places.append(np.stack([50 + rng.random(length), 9 + rng.random(length)], axis=1))
    world = histories(users)._replace(places=np.concatenate(places).astype(np.float32))
    return Sequences(world, (world.items / 2).astype(np.float32))


WORLD, HELD_OUT = cycle(), cycle(seed=1)
TEXTS = np.linalg.qr(np.random.default_rng(7).normal(size=(N_ITEMS, N_ITEMS)))[0].astype(np.float32)
FEATURES = ItemFeatures(N_ITEMS)


@torch.no_grad()
def hit_rate(model: InterestModel, batches: list[Batch], cutoff: int) -> float:
    """Share of target weight among the `cutoff` highest scores of the catalogue, mean over positions."""
    hits, positions = 0.0, 0
    for one in batches:
        scores = model.score(model(one), None, one.query_days.flatten()[one.positions])[one.targets.rows]
        ahead = (scores >= scores.gather(1, one.targets.items[:, None])).sum(dim=1) - 1
        hits += float((one.targets.weights * (ahead < cutoff)).sum())
        positions += len(one.positions)
    return hits / positions


def data_of(model: ModelSettings, settings: FitSettings, world: Sequences = WORLD, held_out: Sequences = HELD_OUT):
    judged = TrainingBatches(held_out, model, dataclasses.replace(settings, augment=0.0))
    counts = torch.bincount(torch.from_numpy(world.histories.items).long(), minlength=N_ITEMS)
    batches = TrainingBatches(world, model, settings)
    return TrainingData(batches, lambda one: hit_rate(one, judged(0), 1), counts, float(np.mean(world.values)))


def trained(model: ModelSettings, settings: FitSettings, features=FEATURES, **more) -> tuple[InterestModel, Course]:
    one = zoo.build(model, features, settings.seed)
    return one, fit(one, settings, data_of(model, settings), **more)


@pytest.mark.parametrize(("encoder", "dynamic", "head"), list(itertools.product(ENCODERS, DYNAMICS, HEADS)))
def test_every_combination_trains_and_scores(encoder, dynamic, head):
    kind = model_settings(encoder, dynamic, head, LOSS_OF_HEAD[head], place_bias=True, **SMALL)
    before = zoo.build(kind, FEATURES, 0)
    model, course = trained(kind, QUICK)
    assert np.isfinite(course.losses).all() and 0 <= course.scores[0] <= 1
    moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), model.parameters(), strict=True)]
    assert sum(moved) > 0.8 * len(moved)
    for _, batch in scoring_batches(HELD_OUT, 20, 16, 100.0):
        with torch.no_grad():
            assert torch.isfinite(model.score(model(batch))).all()


@pytest.mark.parametrize(
    ("encoder", "dynamic", "head", "loss"),
    [
        ("transformer", "transformer", "dot", "softmax"),
        ("gru", "gru", "dot", "softmax"),
        ("gru", "rnn", "dot", "sampled"),
        ("lstm", "rnn", "mlp", "bce"),
        ("transformer", "transformer", "attention", "softmax"),
    ],
)
def test_a_cycle_is_learned(encoder, dynamic, head, loss):
    settings = dataclasses.replace(QUICK, epochs=20, negatives=32, patience=5)
    _, course = trained(model_settings(encoder, dynamic, head, loss, **SMALL), settings)
    assert max(course.scores) > 0.9


def test_a_bidirectional_encoder_learns_from_prefixes():
    kind = model_settings("lstm", "rnn", "dot", bidirectional=True, **SMALL)
    _, course = trained(kind, dataclasses.replace(QUICK, epochs=8, batch_size=32))
    assert max(course.scores) > 0.9


@pytest.mark.parametrize("dynamic", ["rnn", "transformer"])
def test_what_depends_on_the_query_time_needs_the_time_bias(dynamic):
    """After item 0 comes item 1 on the same day, and item 2 where ten days have passed."""
    users = {f"u{k}": [(0, k + 0.1), (1, k + 0.2)] if k % 2 else [(0, k + 0.1), (2, k + 10.2)] for k in range(32)}
    world, scores = Sequences(histories(users), np.zeros(64, np.float32)), {}
    for time_bias in (True, False):
        kind = model_settings("gru", dynamic, "dot", time_bias=time_bias, **SMALL)
        settings = dataclasses.replace(QUICK, epochs=10)
        model = zoo.build(kind, FEATURES, 0)
        scores[time_bias] = max(fit(model, settings, data_of(kind, settings, world, world)).scores)
    assert scores == {True: 1.0, False: 0.5}


def test_a_window_learns_all_that_comes():
    """The next three items of the cycle share the target: they fill the first three ranks."""
    settings = dataclasses.replace(QUICK, epochs=12, target="window", horizon_days=3.0, query="night")
    kind = model_settings("gru", "gru", "dot", **SMALL)
    model, judged = zoo.build(kind, FEATURES, 0), TrainingBatches(HELD_OUT, kind, settings)
    fit(model, settings, data_of(kind, settings))
    assert hit_rate(model, judged(0), 3) > 0.85


def test_a_new_item_scores_like_the_known_one_with_its_text():
    """Every item gets a new twin with the same text: item and twin are the two best where the item is right. Without
    id dropout ids carry what texts should, and the twins fall behind."""
    twins = np.array([*range(N_ITEMS), *[-1] * N_ITEMS])
    more = ItemFeatures(2 * N_ITEMS, {"text": np.concatenate([TEXTS, TEXTS])}, id_rows=twins)
    settings, found = dataclasses.replace(QUICK, epochs=15, seed=2), {}
    for id_dropout in (0.5, 0.0):
        kind = model_settings("gru", "rnn", "dot", **(SMALL | {"id_dropout": id_dropout}))
        model, _ = trained(kind, settings, ItemFeatures(N_ITEMS, {"text": TEXTS}))
        model.tower.set_catalogue(more)
        (batch,) = TrainingBatches(HELD_OUT, kind, dataclasses.replace(settings, batch_size=99))(0)
        with torch.no_grad():
            best = model.score(model(batch)).topk(2).indices.sort().values
        right = torch.stack([batch.targets.items, batch.targets.items + N_ITEMS], dim=1)
        found[id_dropout] = float((best == right).all(dim=1).float().mean())
    assert found[0.5] > 0.9 > 0.8 > found[0.0]


def test_values_are_predicted_where_the_log_has_them():
    kind = model_settings("gru", "rnn", "dot", rating=True, **SMALL)
    settings = dataclasses.replace(QUICK, epochs=25)
    model, _ = trained(kind, settings)
    (batch,) = TrainingBatches(HELD_OUT, kind, dataclasses.replace(settings, batch_size=99))(0)
    with torch.no_grad():
        found = model.predicted_rating(model(batch)[batch.targets.rows], batch.targets.items)
    assert (found - batch.targets.values).square().mean() < 0.25 * batch.targets.values.var()


FULL = dataclasses.replace(QUICK, epochs=5, augment=0.5, adversarial_epsilon=0.1, weight_decay=0.01)
FULL_MODEL = model_settings(
    "transformer", "lstm", "attention", "sampled", **(SMALL | {"dropout": 0.3, "id_dropout": 0.3})
)


def weights_of(model: InterestModel) -> list[list]:
    return [weight.tolist() for weight in model.parameters()]


def test_same_seed_same_model():
    (one, first), (same, second) = trained(FULL_MODEL, FULL), trained(FULL_MODEL, FULL)
    assert weights_of(one) == weights_of(same) and first.scores == second.scores
    other, _ = trained(FULL_MODEL, dataclasses.replace(FULL, seed=1))
    assert weights_of(one) != weights_of(other)


@pytest.mark.parametrize("killed_in", [1, 3])
def test_killed_and_resumed_equals_uninterrupted(killed_in, tmp_path):
    whole, expected = trained(FULL_MODEL, FULL)

    def kill(progress: Progress) -> None:
        if progress.epoch == killed_in and progress.batches == 2:
            raise KeyboardInterrupt

    often = dataclasses.replace(FULL, report_batches=2)
    with pytest.raises(KeyboardInterrupt):
        trained(FULL_MODEL, often, folder=tmp_path, report=kill)
    assert len(list(tmp_path.glob("epoch-*"))) == min(killed_in, 2)
    resumed, course = trained(FULL_MODEL, FULL, folder=tmp_path)
    assert course.scores == expected.scores and course.losses == expected.losses
    assert weights_of(resumed) == weights_of(whole)


def test_a_checkpoint_that_was_being_written_is_ignored(tmp_path):
    trained(FULL_MODEL, dataclasses.replace(FULL, epochs=1), folder=tmp_path)
    (tmp_path / "writing").mkdir()
    (tmp_path / "writing" / "course.json").write_text("{")
    _, course = trained(FULL_MODEL, dataclasses.replace(FULL, epochs=2), folder=tmp_path)
    assert len(course.losses) == 2
    assert sorted(one.name for one in tmp_path.iterdir()) == ["epoch-0001", "epoch-0002"]


def test_a_checkpoint_holds_no_pickle_and_fits_only_its_settings(tmp_path):
    trained(FULL_MODEL, dataclasses.replace(FULL, epochs=1), folder=tmp_path)
    files = {one.name for one in (tmp_path / "epoch-0001").iterdir()}
    assert files == {"weights.safetensors", "best.safetensors", "optimizer.safetensors", "course.json"}
    assert len(json.loads((tmp_path / "epoch-0001" / "course.json").read_text())["scores"]) == 1
    with pytest.raises(ValueError, match="other settings"):
        trained(FULL_MODEL, dataclasses.replace(FULL, learning_rate=0.5), folder=tmp_path)


def test_a_checkpoint_of_a_model_with_other_weights_is_refused(tmp_path):
    kind = model_settings("gru", "rnn", **SMALL)
    trained(kind, QUICK, folder=tmp_path)
    (file,) = tmp_path.rglob("weights.safetensors")
    weights = load_file(file)
    weights["dynamic.renamed"] = weights.pop("dynamic.drift.table.weight")
    save_file(weights, file)
    with pytest.raises(ValueError, match=r"other weights \(dynamic.drift.table.weight, dynamic.renamed\)"):
        trained(kind, QUICK, folder=tmp_path)


def test_training_stops_early_with_the_best_weights():
    scores, seen = iter([0.1, 0.5, 0.4, 0.5, 0.9]), []

    def validate(model):
        seen.append(weights_of(model))
        return next(scores)

    kind, settings = model_settings("gru", "rnn", "dot", **SMALL), dataclasses.replace(QUICK, epochs=9, patience=2)
    model = zoo.build(kind, FEATURES, 0)
    course = fit(model, settings, data_of(kind, settings)._replace(validate=validate))
    assert course.scores == [0.1, 0.5, 0.4, 0.5] and course.best_epoch == 1
    assert weights_of(model) == seen[1] and not model.training


def test_without_validation_the_last_weights_stay():
    kind, reports = model_settings("gru", "rnn", "dot", **SMALL), []
    model, settings = zoo.build(kind, FEATURES, 0), dataclasses.replace(QUICK, epochs=2, report_batches=2)
    course = fit(model, settings, data_of(kind, settings)._replace(validate=None), report=reports.append)
    assert course.scores == [] and course.best is None and len(course.losses) == 2
    assert [(one.epoch, one.batches) for one in reports] == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert all(one.samples_per_second > 0 and one.score is None for one in reports)


def test_weight_decay_shrinks_matrices():
    kind = model_settings("gru", "rnn", "dot", **SMALL)
    weights = [
        trained(kind, dataclasses.replace(QUICK, epochs=3, weight_decay=decay))[0].encoder.out.weight.detach()
        for decay in (0.0, 1.0)
    ]
    assert weights[1].norm() < 0.97 * weights[0].norm()


def test_the_adversarial_step_moves_ids_along_their_gradient_and_back():
    from interest_model.training.fit import _adversarial

    model = zoo.build(model_settings("gru", "rnn", "dot", **SMALL), FEATURES, 0)
    table, seen = model.tower.ids.weight, []
    before = table.detach().clone()
    table.grad = torch.zeros_like(table)
    table.grad[0, :2] = torch.tensor([3.0, 4.0])
    settings = dataclasses.replace(QUICK, adversarial_epsilon=0.5)
    _adversarial(model, settings, lambda: seen.append((table.detach() - before)[0, :3].tolist()))
    assert seen == [pytest.approx([0.3, 0.4, 0.0], abs=1e-6)]
    assert torch.equal(table.detach(), before)


@pytest.mark.parametrize(
    "wrong",
    [{"target": "last"}, {"query": "noon"}, {"epochs": 0}, {"learning_rate": 0.0}, {"augment": 2.0}, {"ensemble": 0}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        fit_settings(**wrong)

"""The learned forecast of shares: by hand, on a planted world, and what must hold of any forecast."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interest_model.evaluation.forecast_metrics import point_sums, quantile_sums
from interest_model.interest import forecast_features as ff
from interest_model.interest import forecaster as fc
from interest_model.interest.forecaster_training import TrainingSettings, _sums, _tensors, scale_of, train
from interest_model.interest.states_of_users import StateSettings
from interest_model.recommend.histories import Histories, take

STATE = StateSettings()
TOPICS, WIDE = 8, 3
PARENTS = np.array([0, 0, 0, 1, 1, 1, 2, 2])
FINE = sp.csr_matrix(np.eye(TOPICS))  # an item of each topic
BROAD = sp.csr_matrix(np.eye(WIDE)[PARENTS])
CUT = 20_000.0
QUICK = TrainingSettings(steps=60)


def histories(*users: list[tuple[float, int]]) -> Histories:
    """Users from lists of (day from CUT, item), oldest first."""
    events = [one for user in users for one in user]
    return Histories(
        np.array([f"u{number}" for number in range(len(users))], dtype=object),
        np.cumsum([0, *map(len, users)]).astype(np.int64),
        np.array([item for _, item in events], dtype=np.int32),
        CUT + np.array([day for day, _ in events], dtype=np.float64),
        np.ones(len(events), dtype=np.float32),
    )


def everybody(k: int = TOPICS) -> np.ndarray:
    return np.full((len(ff.POPULATION_HALF_LIVES), k), 1 / k)


def planted(n: int, seed: int) -> tuple[Histories, np.ndarray]:
    """Users with shares drawn from a Dirichlet that change for good, all at once, 0 to 100 days before CUT; events are
    a Poisson process of 0.3 to 2 a day from 100 days before CUT to 56 after it. And the shares at the end."""
    rng = np.random.default_rng(seed)
    users, shares = [], []
    for _ in range(n):
        days = np.sort(rng.uniform(-100, 56, rng.poisson(156 * rng.uniform(0.3, 2.0))))
        old, new = rng.dirichlet(np.full(TOPICS, 0.3), 2)
        topics = np.where(
            days < rng.uniform(-100, 0), rng.choice(TOPICS, len(days), p=old), rng.choice(TOPICS, len(days), p=new)
        )
        users.append(list(zip(days, topics, strict=True)))
        shares.append(new)
    return histories(*users), np.stack(shares)


def windows_of(known: Histories, cuts=(-28.0, 0.0), horizons=(7.0, 28.0), membership=FINE) -> ff.Windows:
    parts = []
    for cut in cuts:
        at_cut = ff.features(known, membership, everybody(membership.shape[1]), CUT + cut, STATE)
        parts += [ff.training_windows(known, membership, at_cut, CUT + cut, one) for one in horizons]
    return ff.merge(parts)


@pytest.fixture(scope="module")
def model() -> fc.Forecaster:
    return train(windows_of(planted(600, 1)[0]), QUICK)


@pytest.fixture(scope="module")
def strangers() -> tuple[Histories, np.ndarray]:
    """Users who were not in the training."""
    return planted(400, 2)


def untrained() -> fc.Forecaster:
    """Networks that answer zero, and inputs as they are."""
    windows = windows_of(planted(5, 3)[0])
    scale = scale_of(windows)
    n_topics, n_users = len(scale.topic_mean), len(scale.user_mean)

    def net(inputs, outputs):
        return fc.Net(*(np.zeros(shape, np.float32) for shape in ((inputs, 2), 2, (2, outputs), outputs)))

    return fc.Forecaster(
        scale, net(n_users, ff.N_MIXED + 1), net(n_topics + n_users, 1), net(n_topics + 2 + n_users, 3)
    )


def test_shares_by_half_life_by_hand():
    known = histories([(-28.5, 0), (-1.25, 1), (-1.25 + 0.5, 1), (-1.25 + 0.5, 2)])
    at_cut = ff.features(known, FINE, everybody(), CUT, STATE)
    assert at_cut.topics.tolist() == [0, 1, 2]
    weekly = np.array([0.5 ** (27.75 / 7), 1 + 0.5 ** (0.5 / 7), 1.0])
    assert at_cut.shares[:, 1] == pytest.approx(weekly / weekly.sum(), rel=1e-5)
    assert at_cut.shares[:, 4] == pytest.approx([0.25, 0.5, 0.25])  # long-term mean
    assert at_cut.shares[:, 5] == pytest.approx([0.0, 0.5, 0.5])  # the last UTC day: from -1 on
    assert at_cut.shares[:, 6] == pytest.approx([1 / 8] * 3)


def test_truth_by_hand_and_users_without_a_window_are_left_out():
    known = histories([(-3, 0), (-2, 1), (0, 1), (6.9, 1), (6.9, 7), (7.0, 0)], [(-1, 0)], [(1, 2)])
    windows = windows_of(known, cuts=(0.0,), horizons=(7.0,))
    assert windows.events.tolist() == [3, 1] and windows.acted.tolist() == [True, False]
    assert windows.windows.tolist() == [0, 0]
    assert windows.truth == pytest.approx([0.0, 2 / 3])  # the rest, topic 7, was never touched
    assert windows.rest_population[:, 0] == pytest.approx([6 / 8, 1.0])


def test_training_cuts_leave_room_for_their_windows():
    plan = ff.training_cuts(100.0, (7.0, 28.0), n_cuts=4, step_days=7.0, first_day=60.0)
    assert plan == {93.0: [7.0], 86.0: [7.0], 79.0: [7.0], 72.0: [7.0, 28.0], 65.0: [28.0]}


def test_untrained_networks_give_the_mean_of_all_share_vectors():
    known = histories([(-2, 0), (-2, 1), (-1, 1)], [])
    at_cut = ff.features(known, FINE, everybody(), CUT, STATE)
    found = fc.expected_shares(untrained(), at_cut, 7.0)
    assert found.expected == pytest.approx(at_cut.shares.mean(axis=1), rel=1e-5)
    whole = fc.dense(found, everybody())
    assert whole[0, 2] == pytest.approx(2 / 8 / 8)  # two of eight vectors are everybody's
    assert whole[1] == pytest.approx(1 / 8)  # a user without events is one of everybody


def test_expected_shares_sum_to_one_and_children_add_up_to_their_parent(model, strangers):
    at_cut, above = (ff.features(strangers[0], one, everybody(one.shape[1]), CUT - 95, STATE) for one in (FINE, BROAD))
    above = above._replace(populations=np.stack([np.bincount(PARENTS, one) for one in at_cut.populations]))
    found = fc.expected_shares(model, at_cut, 28.0)
    whole = fc.dense(found, at_cut.populations)
    assert whole.sum(axis=1) == pytest.approx(1.0, abs=1e-6) and (whole >= 0).all()
    parents = fc.parent_shares(found, PARENTS, at_cut.populations, above)
    sums = np.stack([np.bincount(PARENTS, one) for one in whole])
    assert parents == pytest.approx(sums[above.users, above.topics], abs=1e-9)


def test_better_than_every_baseline_on_strangers(model, strangers):
    at_cut = ff.features(strangers[0], FINE, everybody(), CUT, STATE)
    truth, events = ff.realised(strangers[0], FINE, CUT, 28.0)
    judged = (events >= 5)[at_cut.users]
    y = truth.toarray()[at_cut.users, at_cut.topics][judged]
    expected = fc.expected_shares(model, at_cut, 28.0).expected
    middle = fc.quantile_shares(model, at_cut, 28.0, expected)[:, 2]
    baselines = [point_sums(y, at_cut.shares[judged, column].astype(float)) for column in range(ff.N_MIXED)]
    assert point_sums(y, expected[judged]).mse < 0.9 * min(one.mse for one in baselines)
    assert point_sums(y, middle[judged]).mae < 0.95 * min(one.mae for one in baselines)


def test_quantiles_are_calibrated_on_strangers(model, strangers):
    at_cut = ff.features(strangers[0], FINE, everybody(), CUT, STATE)
    for horizon in (7.0, 28.0):
        truth, events = ff.realised(strangers[0], FINE, CUT, horizon)
        judged = (events >= 5)[at_cut.users]
        y = truth.toarray()[at_cut.users, at_cut.topics][judged]
        quantiles = fc.quantile_shares(model, at_cut, horizon, fc.expected_shares(model, at_cut, horizon).expected)
        sums = quantile_sums(y, quantiles[judged], fc.LEVELS)
        strictly = (y[:, None] < quantiles[judged]).mean(axis=0)  # mass at zero: a level lies between the two
        assert (strictly - 0.05 < fc.LEVELS).all() and (fc.LEVELS < sums.shares_below + 0.05).all()
        low, high = fc.interval(quantiles[judged])
        inside = (y >= low) & (y <= high)
        above = quantiles[judged, 0] > 0
        assert 0.72 < inside[above].mean() < 0.88
        assert 0.75 < inside[high > 0].mean() < 0.85 and 0.1 < above.mean() < 0.9  # with mass at zero and without


def test_an_interval_leaves_out_a_tenth_at_each_end_or_a_fifth_at_one():
    ends = {
        (0.1, 0.2, 0.3, 0.4, 0.5): (0.1, 0.5),
        (0.0, 0.0, 0.3, 0.4, 0.5): (0.0, 0.4),
        (0.0, 0.0, 0.0, 0.0, 0.5): (0.0, 0.0),  # zero alone is four fifths or more
        (0.1, 0.2, 0.3, 1.0, 1.0): (0.2, 1.0),
        (0.0, 0.2, 0.5, 0.8, 1.0): (0.0, 0.8),
    }
    low, high = fc.interval(np.array(list(ends)))
    assert list(zip(low, high, strict=True)) == list(ends.values())


def test_nothing_after_the_cut_moves_a_forecast(model, strangers):
    known = strangers[0]
    after = known.days >= CUT
    changed = known._replace(items=np.where(after, (known.items + 1) % TOPICS, known.items).astype(np.int32))

    def forecast(of: Histories, cut: float):
        at_cut = ff.features(of, FINE, everybody(), cut, STATE)
        found = fc.expected_shares(model, at_cut, 7.0)
        return at_cut, fc.dense(found, everybody()), fc.quantile_shares(model, at_cut, 7.0, found.expected)

    one, other = forecast(known, CUT), forecast(changed, CUT)
    assert all(np.array_equal(a, b) for a, b in zip(one[0], other[0], strict=True))
    assert np.array_equal(one[1], other[1]) and np.array_equal(one[2], other[2])
    assert not np.array_equal(forecast(known, CUT + 20)[1], forecast(changed, CUT + 20)[1])


def test_topics_may_change_places_and_there_may_be_any_number_of_them(model, strangers):
    known, order = strangers[0], np.random.default_rng(9).permutation(300)
    many = sp.csr_matrix((np.ones(TOPICS), (np.arange(TOPICS), np.arange(TOPICS))), (TOPICS, 300))
    whole = []
    for membership in (many, many[:, order]):
        found = fc.expected_shares(model, ff.features(known, membership, everybody(300), CUT, STATE), 7.0)
        whole.append(fc.dense(found, everybody(300)))
    assert whole[1] == pytest.approx(whole[0][:, order], abs=1e-6)


def test_partitions_of_users_give_the_same_windows():
    known = planted(30, 4)[0]
    whole = windows_of(known, cuts=(0.0,), horizons=(7.0,))
    parts = [windows_of(take(known, part), (0.0,), (7.0,)) for part in np.array_split(np.arange(30), 3)]
    merged = ff.merge(parts)
    assert np.array_equal(merged.windows, whole.windows)
    for name in ff.Windows._fields[1:]:
        assert getattr(merged, name) == pytest.approx(getattr(whole, name), abs=1e-6), name


def test_scoring_and_training_use_the_same_formula(model):
    windows = windows_of(planted(20, 5)[0])
    inputs = fc.inputs_of(model.scale, windows)
    ours = fc.shares(model.mix, model.tilt, inputs, np, fc.sums)
    nets = [fc.Net(*(torch.from_numpy(one) for one in net)) for net in (model.mix, model.tilt, model.spread)]
    theirs = fc.shares(*nets[:2], _tensors(inputs), torch, _sums)
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other.numpy(), abs=1e-5)
    expected = np.asarray(ours[0], np.float32)
    found = fc.raw_quantiles(nets[2], _tensors(inputs), torch.from_numpy(expected), torch).numpy()
    assert fc.raw_quantiles(model.spread, inputs, expected, np) == pytest.approx(found, abs=1e-4)


def test_same_seed_same_model_and_torch_is_left_as_it_was():
    windows = windows_of(planted(30, 6)[0])
    state = torch.get_rng_state()
    one, again, other = (train(windows, TrainingSettings(steps=5, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    arrays = [fc.to_arrays(each) for each in (one, again, other)]
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])
    assert not np.array_equal(arrays[0]["mix.w1"], arrays[2]["mix.w1"])


def test_arrays_and_back(model):
    again = fc.from_arrays(fc.to_arrays(model))
    at_cut = ff.features(planted(5, 7)[0], FINE, everybody(), CUT, STATE)
    ours, theirs = (fc.expected_shares(one, at_cut, 7.0).expected for one in (model, again))
    assert np.array_equal(ours, theirs)
    with pytest.raises(KeyError, match="mix.w1"):
        fc.from_arrays({name: one for name, one in fc.to_arrays(model).items() if name != "mix.w1"})


EVENTS = st.lists(st.tuples(st.floats(-500, 10), st.integers(0, TOPICS - 1)), max_size=6).map(sorted)


@given(st.lists(EVENTS, max_size=4), st.sampled_from([1.0, 7.0, 28.0, 90.0]))
@settings(max_examples=40, deadline=None)
def test_any_histories_have_shares_that_sum_to_one_and_ordered_quantiles(model, users, horizon):
    at_cut = ff.features(histories(*users), FINE, everybody(), CUT, STATE)
    found = fc.expected_shares(model, at_cut, horizon)
    assert fc.dense(found, everybody()).sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    quantiles = fc.quantile_shares(model, at_cut, horizon, found.expected)
    assert (np.diff(quantiles, axis=1) >= 0).all() and (quantiles >= 0).all() and (quantiles <= 1).all()
    low, high = fc.interval(quantiles)
    assert (quantiles[:, 0] <= low).all() and (low <= high).all() and (high <= quantiles[:, -1]).all()


def test_nothing_to_train_on_is_refused():
    with pytest.raises(ValueError, match="no window of 1 has 5 events"):
        train(windows_of(histories([(-1, 0), (1, 0)]), (0.0,), (7.0,)), QUICK)
    with pytest.raises(ValueError, match="no windows"):
        ff.merge([])


def test_the_model_does_not_depend_on_how_many_threads_there_are():
    windows, threads = windows_of(planted(600, 1)[0]), torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(fc.to_arrays(train(windows, TrainingSettings(steps=20))))
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert all(np.array_equal(array, found[1][name]) for name, array in found[0].items())


@pytest.mark.parametrize("most", [100, 300])
def test_windows_sampled_while_they_are_made_are_those_sampled_at_the_end(most):
    """In any order of the parts, and whatever users stand beside them."""
    known = planted(30, 9)[0]
    parts = [windows_of(known, cuts=(cut,), horizons=(one,)) for cut in (-28.0, 0.0) for one in (7.0, 28.0)]

    def keys(windows):
        return sorted(zip(windows.draws, windows.horizons, strict=True))

    whole = ff.merge(parts)
    at_end = ff.take_windows(whole, ff.sampled(whole, whole.events > 0, most))
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        kept = parts[order[0]]
        for place in order[1:]:
            kept = ff.merge([kept, parts[place]])
            kept = ff.take_windows(kept, ff.sampled(kept, kept.events > 0, most))
        assert keys(kept) == keys(at_end)
    assert 0 < len(at_end.windows) <= most < len(whole.windows)
    alone = windows_of(take(known, np.array([12])), cuts=(0.0,), horizons=(28.0,))
    assert len(alone.draws) == 1 and alone.draws[0] in parts[3].draws and alone.draws[0] not in parts[1].draws


def test_a_sample_of_windows_is_enough_to_train():
    windows = windows_of(planted(100, 8)[0])
    few = train(windows, TrainingSettings(steps=5, most_rows=200))
    assert all(np.isfinite(one).all() for one in fc.to_arrays(few).values())

"""Forecast and class metrics by hand; sums of parts give the figure of the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from interest_model.evaluation.forecast_metrics import (
    best_threshold,
    class_sums,
    coverage_sums,
    point_sums,
    quantile_sums,
    scale_sums,
)

Y, F = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 1.0])


def test_point_metrics_by_hand():
    sums = point_sums(Y, F)
    assert sums.mae == pytest.approx(4 / 3) and sums.mse == pytest.approx(10 / 3)
    assert sums.rmse == pytest.approx(np.sqrt(10 / 3))
    assert sums.r2 == pytest.approx(1 - 10 / (14 / 3))  # squares about the mean 7/3: 14/3
    assert point_sums(Y, F, np.array([1.0, 0.0, 0.0])).mae == 1.0


def test_a_truth_that_does_not_vary_has_no_r2_and_nothing_has_no_mean():
    assert np.isnan(point_sums(np.full(3, 0.1), F).r2)
    assert np.isnan(point_sums(np.zeros(0), np.zeros(0)).mae)


def test_mase_by_hand_leaves_out_a_series_that_never_moved():
    past = np.array([[1.0, 2.0, 4.0], [3.0, 3.0, 3.0]])  # scales 1.5 and 0
    sums = scale_sums(np.array([[5.0, 7.0], [3.0, 9.0]]), np.array([[4.0, 4.0], [3.0, 3.0]]), past)
    assert sums.mase == pytest.approx((1 / 1.5 + 3 / 1.5) / 2)
    seasonal = scale_sums(np.array([[5.0]]), np.array([[4.0]]), np.array([[1.0, 2.0, 4.0]]), season=2)
    assert seasonal.mase == pytest.approx(1 / 3)


def test_pinball_and_coverage_by_hand():
    quantiles = np.array([[0.0, 2.0], [3.0, 4.0]])
    sums = quantile_sums(np.array([1.0, 2.0]), quantiles, np.array([0.1, 0.9]))
    assert sums.losses == pytest.approx([(0.1 * 1 + 0.9 * 1) / 2, (0.1 * 1 + 0.1 * 2) / 2])
    assert sums.shares_below == pytest.approx([0.5, 1.0])
    assert coverage_sums(np.array([1.0, 2.0, 2.0]), np.array([1.0, 0.0, 3.0]), np.array([1.5, 2.0, 4.0])).inside == 2


rows = st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.3, 0.5, 0.9])), min_size=1, max_size=30)


@given(rows, st.sampled_from([0.2, 0.5, 0.9]))
@settings(max_examples=50, deadline=None)
def test_class_metrics_agree_with_scikit_learn(rows, threshold):
    y, score = np.array([one for one, _ in rows]), np.array([score for _, score in rows])
    sums = class_sums(y, score, threshold)
    said = score >= threshold
    assert sums.accuracy == pytest.approx(sk.accuracy_score(y, said))
    if said.any():
        assert sums.precision == pytest.approx(sk.precision_score(y, said))
    if y.any():
        assert sums.recall == pytest.approx(sk.recall_score(y, said))
        assert sums.f1 == pytest.approx(sk.f1_score(y, said))


def test_class_metrics_by_hand_and_parts_add_up_to_the_whole():
    y, score = np.array([True, True, False, False, True]), np.array([0.9, 0.2, 0.8, 0.1, 0.7])
    parts = class_sums(y[:2], score[:2], 0.5) + class_sums(y[2:], score[2:], 0.5)
    assert parts == class_sums(y, score, 0.5)
    assert (parts.true_positive, parts.false_positive, parts.false_negative, parts.true_negative) == (2, 1, 1, 1)
    assert (parts.accuracy, parts.precision, parts.recall) == (0.6, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert parts.f1 == pytest.approx(2 / 3) and np.isnan(class_sums(y[:0], score[:0], 0.5).accuracy)


def test_the_threshold_is_of_the_validation_rows_whatever_the_judged_rows_say():
    validation, later = np.array([0.9, 0.6, 0.4]), np.array([0.5, 0.95])
    threshold = best_threshold(np.array([True, True, False]), validation)
    assert threshold == 0.6
    assert class_sums(np.array([True, False]), later, threshold).f1 == 0.0  # 0.5 would have hit: it was not looked at


@given(rows)
@settings(max_examples=50, deadline=None)
def test_no_threshold_beats_the_best_one(rows):
    y, score = np.array([one for one, _ in rows]), np.array([score for _, score in rows])
    best = best_threshold(y, score)
    if not y.any():
        assert best == np.inf
        return
    assert all(class_sums(y, score, best).f1 >= class_sums(y, score, one).f1 - 1e-12 for one in np.unique(score))


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=30), st.integers(1, 29))
@settings(max_examples=50, deadline=None)
def test_parts_add_up_to_the_whole(rows, at):
    y, f = np.array(rows).T
    parts = point_sums(y[:at], f[:at]) + point_sums(y[at:], f[at:])
    assert parts.mae == pytest.approx(point_sums(y, f).mae)
    levels = np.array([0.1, 0.5])
    q = np.stack([f - 1, f], axis=1)
    halves = quantile_sums(y[:at], q[:at], levels) + quantile_sums(y[at:], q[at:], levels)
    assert halves.losses == pytest.approx(quantile_sums(y, q, levels).losses)

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from interest_model.errors import ConfigError
from interest_model.recommend import fit
from interest_model.recommend.blend import MEMBERS
from interest_model.recommend.histories import take
from interest_model.recommend.model_rows import version_of
from tests.recommend.worlds import checkerboard, fitted, ranker_settings


def test_text_vectors_keep_angles_where_the_texts_span_few_dimensions():
    rng = np.random.default_rng(0)
    wide = (rng.normal(size=(20, 3)) @ rng.normal(size=(3, 30))).astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    short = fit.text_vectors(wide, 3)
    assert short.shape == (20, 3)
    assert short @ short.T == pytest.approx(wide @ wide.T, abs=1e-4)


def test_items_without_text_stay_zero():
    given = np.array([[np.nan, np.nan], [0.0, 0.0], [0.6, 0.8]], dtype=np.float32)
    assert fit.text_vectors(given, 8).tolist() == [[0, 0], [0, 0], [pytest.approx(0.6), pytest.approx(0.8)]]


def test_prior_weights_sum_to_one_in_member_order():
    settings = ranker_settings()
    rows = fit.prior_weights(settings)
    assert rows.sum(axis=1) == pytest.approx(np.ones(len(settings.prior_weights)))
    weights, known = rows[0], next(iter(settings.prior_weights.values()))
    assert weights[MEMBERS.index("ease")] / weights[0] == pytest.approx(known["ease"] / known["popularity"])


def test_a_member_unknown_to_the_blend_is_a_configuration_error():
    with pytest.raises(ConfigError, match="horoscope"):
        fit.prior_weights(ranker_settings(**{"prior_weights.moving_catalogue.horoscope": 1.0}))


def test_a_model_has_the_same_version_whatever_the_threads_the_order_of_users_and_the_pairs_at_once(monkeypatch):
    known, texts = checkerboard(n_items=400), np.random.default_rng(1).normal(size=(400, 384)).astype(np.float32)
    shuffled = take(known, np.random.default_rng(2).permutation(known.n_users))

    def version(histories, threads, pairs):
        monkeypatch.setattr(fit, "_PAIRS_AT_ONCE", pairs)
        with threadpool_limits(threads):
            vectors = fit.text_vectors(texts, 64)
            return version_of(fitted(histories, 400, 41.0, vectors=vectors).to_arrays(), "blend")

    assert len(fit.pair_batches(known, 400, np.arange(400), ranker_settings())) == 3
    assert version(known, 1, fit._PAIRS_AT_ONCE) == version(shuffled, 2, 10_000)
    assert len(fit.pair_batches(known, 400, np.arange(400), ranker_settings())) > 6

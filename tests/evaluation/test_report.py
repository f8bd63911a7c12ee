"""Evaluation rows merged over nights and over seeds, by hand."""

from datetime import date

import pytest

pytestmark = pytest.mark.spark
DDL = (
    "run_date date, variant string, horizon_days int, segment string, model string, metric string, k int, seed int, "
    "list_date date, value double, n_users bigint, boot_sums array<double>, boot_weights array<double>"
)


def row(model, metric, seed, value, users, sums=None):
    """sums: of each replicate; every user weighs one in each of them."""
    weights = None if sums is None else [float(users)] * len(sums)
    day = date(2024, 1, 1)
    return (day, "novel", 1, "all", model, metric, 10, seed, day, value, users, sums, weights)


@pytest.fixture(scope="module")
def evaluation(spark):
    rows = [row(model, metric, seed, *figures)
            for metric in ("ndcg", "recall", "hit_rate")
            for model, seed, figures in (
                ("ranker", 1, (0.4, 2, [0.8, 0.8])), ("ranker", 2, (0.1, 8, [0.8, 0.8])),
                ("popularity", 1, (0.2, 2, [0.4, 0.2])), ("popularity", 2, (0.1, 8, [0.8, 0.6])),
            )]  # fmt: skip
    rows += [row("ranker", "coverage", 1, 0.5, 2), row("ranker", "coverage", 2, 0.7, 8)]
    rows.append(row("ranker", "ndcg_debiased", 1, 0.3, 2, [0.6, 0.6]))  # the other round lacks it
    return spark.createDataFrame(rows, DDL)


def test_rounds_are_pooled_over_users(evaluation):
    from interest_model.evaluation.report import pooled, pooled_rows

    ranker, popularity = pooled(evaluation)
    assert (ranker["model"], ranker["nights"], ranker["user_nights"]) == ("ranker", 2, 10)
    assert ranker["ndcg"] == pytest.approx(0.16) and ranker["ndcg_low"] == pytest.approx(0.16)
    assert "ndcg_debiased" not in ranker and "lead_low" not in ranker
    # replicates: the ranker 1.6 twice, popularity 1.2 and 0.8, of 10 users: leads 0.04 and 0.08
    assert popularity["lead_low"] == pytest.approx(0.041) and popularity["lead_high"] == pytest.approx(0.079)
    text = pooled_rows(evaluation)[1]
    assert text["ranker_leads_by"] == "+0.0410 to +0.0790" and text["recall_95"] == "0.0810 to 0.1190"


def test_nights_of_other_numbers_of_replicates_are_not_added(spark, evaluation):
    from interest_model.errors import DataError
    from interest_model.evaluation.report import pooled

    other = spark.createDataFrame([row("ranker", "ndcg", 3, 0.2, 2, [0.4, 0.2, 0.1])], DDL)
    with pytest.raises(DataError, match="bootstrap_replicates was not the same on all nights .2 on .*, 3 on "):
        pooled(evaluation.unionByName(other))


def test_a_model_that_some_rounds_lack_is_led_on_the_others(spark, evaluation):
    from interest_model.evaluation.report import pooled

    peer = [row("peer", metric, 1, 0.2, 2, [0.4, 0.2]) for metric in ("ndcg", "recall", "hit_rate")]
    found = next(one for one in pooled(evaluation.union(spark.createDataFrame(peer, DDL))) if one["model"] == "peer")
    # replicates of the first round: the ranker 0.4 twice, the peer 0.2 and 0.1
    assert found["nights"] == 1
    assert (found["lead_low"], found["lead_high"]) == (pytest.approx(0.2025), pytest.approx(0.2975))


def test_rounds_are_spread_with_each_counting_once(evaluation):
    from interest_model.evaluation.report import spread, spread_shown

    ranker = spread(evaluation)[0]
    assert ranker["ndcg"] == pytest.approx(0.25) and ranker["ndcg_deviation"] == pytest.approx(0.3 / 2**0.5)
    assert ranker["coverage"] == pytest.approx(0.6) and ranker["rounds"] == 2
    shown = spread_shown([ranker])[0]
    assert shown["ndcg"] == "0.2500 (0.2121)" and shown["ndcg_debiased"] == "0.3000"


def test_figures_by_name_for_the_tracking_store(evaluation):
    from interest_model.evaluation.report import by_name, pooled, spread

    named = by_name(pooled(evaluation), spread(evaluation), 10)
    assert named["ranker/ndcg@10/novel/next 1 days"] == pytest.approx(0.16)
    assert named["ranker/ndcg@10/novel/next 1 days deviation"] == pytest.approx(0.3 / 2**0.5)
    assert named["ranker/coverage@10/novel/next 1 days"] == pytest.approx(0.6)
    assert named["popularity/lead@10/novel/next 1 days low"] == pytest.approx(0.041)
    assert named["popularity/ndcg@10/novel/next 1 days high"] == pytest.approx(0.119)
    assert not [name for name in named if "rounds" in name or "users" in name]

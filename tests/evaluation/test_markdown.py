from interest_model.evaluation.markdown import page, table


def test_a_table_has_every_column_once_and_leaves_cells_empty():
    rows = [{"model": "ranker", "ndcg": 0.5}, {"model": "a|b", "lead": "+0.1 to +0.2"}]
    assert table(rows).splitlines() == [
        "| model | ndcg | lead |",
        "| --- | --- | --- |",
        "| ranker | 0.5 |  |",
        "| a\\|b |  | +0.1 to +0.2 |",
    ]


def test_a_page_says_what_was_run_and_holds_both_tables_of_each_length():
    text = page({"protocol": "replay", "nights": 7}, {10: ([{"a": 1}], [{"b": 2}]), 50: ([{"c": 3}], [{"d": 4}])})
    assert text.startswith("# Backtest: replay\n\n- protocol: replay\n- nights: 7\n")
    places = [text.index(part) for part in ("First 10", "| a |", "| b |", "First 50", "| c |", "| d |")]
    assert places == sorted(places)

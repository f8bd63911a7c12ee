"""Earlier lists whose model cannot be asked any more are said and left out; tonight's lists do not depend on them."""

import io
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from interest_model.recommend import model_rows, stored
from interest_model.report import Reporter
from tests.recommend.worlds import checkerboard, fitted

LISTED, NIGHT = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture(scope="module")
def rows():
    return stored.to_table(fitted(checkerboard(20, 12, 30), 12, 40.0, lessons=0), LISTED)


def maker_of(table, made_by):
    from interest_model.evaluation.day import maker_of as found

    lists = SimpleNamespace(select=lambda _: SimpleNamespace(head=lambda: made_by))
    storage = SimpleNamespace(read_day=lambda *_: SimpleNamespace(toArrow=lambda: table))
    said = io.StringIO()
    night = SimpleNamespace(storage=storage, run_date=NIGHT, reporter=Reporter(said, as_json=False))
    return found(lists, night, LISTED), said.getvalue()


def test_the_model_that_made_the_lists_judges_them(rows):
    table, version = rows
    model, said = maker_of(table, (version,))
    assert model.n_items == 12 and not said
    assert maker_of(table, None) == (None, "")  # no lists of that day


def test_a_model_of_other_code_costs_the_judgement_and_not_the_night(rows):
    table, version = rows
    arrays = {name: array for name, array in model_rows.from_rows(table).items() if name != "column_names"}
    older = model_rows.to_rows(arrays | {"column_names": np.array(["popularity"])}, LISTED, stored.KIND)
    model, said = maker_of(older, (version,))
    assert (
        model is None and "lists of 2026-01-05 are not judged" in said and "run the night of 2026-01-05 again" in said
    )


def test_lists_of_one_model_are_not_judged_beside_another(rows):
    model, said = maker_of(rows[0], ("blend-000000000000",))
    assert model is None and "model blend-000000000000 made them" in said

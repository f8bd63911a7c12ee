"""The benchmarks fit the package they measure: they load, show their help, and call what there is. No JVM, no logs.

benchmarks/peers/ is for another environment; tests/evaluation/test_peer_blend.py loads it.
"""

import ast
import importlib
import inspect
import json
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interest_model.evaluation.peers import write_items
from interest_model.recommend.attributes import no_attributes
from interest_model.recommend.daily import ItemViews
from interest_model.recommend.interests import no_topics
from interest_model.recommend.members import nowhere
from tests.recommend import worlds

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """Benchmarks import the files beside them, as scripts do."""
    monkeypatch.syspath_prepend(FOLDER)


def imported(tree: ast.AST) -> dict[str, object]:
    """What a file imports, at its head or within functions, from the package and the files beside it, by name there."""
    ours = {"interest_model", *(file.stem for file in FILES)}
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in ours:
            parts = {one.asname or one.name: (node.module, one.name) for one in node.names}
            found |= {name: member(*part) for name, part in parts.items()}
        if isinstance(node, ast.Import):
            found |= {one.name: importlib.import_module(one.name) for one in node.names if one.name in ours}
    return found


def member(module: str, name: str) -> object:
    parent = importlib.import_module(module)
    return getattr(parent, name) if hasattr(parent, name) else importlib.import_module(f"{module}.{name}")


def called(node: ast.Call, names: dict[str, object]) -> object:
    """What is called, where it is of `names` or of a module among them; else None. AttributeError: it is not there."""
    if isinstance(node.func, ast.Name):
        return names.get(node.func.id)
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        module = names.get(node.func.value.id)
        return getattr(module, node.func.attr) if isinstance(module, ModuleType) else None


def misfits(tree: ast.AST) -> list[str]:
    """Calls of the package that its signatures do not allow, by number of arguments and by keyword."""
    names, found = imported(tree), []
    for node in ast.walk(tree):
        target = called(node, names) if isinstance(node, ast.Call) else None
        if target is None or any(isinstance(one, ast.Starred) for one in node.args):
            continue
        try:
            inspect.signature(target).bind(*node.args, **{one.arg: one for one in node.keywords if one.arg})
        except TypeError as error:
            found.append(f"line {node.lineno}: {ast.unparse(node)}: {error}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_it_calls_is_there_and_takes_these_arguments(file):
    assert misfits(ast.parse(file.read_text())) == []


def test_a_misfit_is_found():
    head = "from interest_model.recommend import fit\n"
    assert not misfits(ast.parse(head + "fit.text_vectors(x, dimensions=3)"))
    for call in ("fit.text_vectors(x)", "fit.text_vectors(x, 3, 4)", "fit.text_vectors(x, to=3)"):
        assert len(misfits(ast.parse(head + call))) == 1
    with pytest.raises(AttributeError):
        misfits(ast.parse(head + "fit.no_such_function(x)"))
    with pytest.raises(ImportError):
        misfits(ast.parse("from interest_model.recommend.fit import no_such_function"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_loads_and_shows_its_help(file, monkeypatch, capsys):
    loaded = runpy.run_path(str(file))
    if "main" in loaded:
        monkeypatch.setattr(sys, "argv", [file.name, "--help"])
        with pytest.raises(SystemExit) as ended:
            loaded["main"]()
        assert ended.value.code == 0 and loaded["__doc__"].splitlines()[0] in capsys.readouterr().out


def log_of(known, n_items: int, variants: list[str]):
    """What past_moments reads of a split: items without texts, places and topics."""
    items = ItemViews(np.zeros((n_items, 4), np.float32), nowhere(n_items), no_topics(n_items), no_attributes(n_items))
    return importlib.import_module("past_moments").Log(known, items, float(known.days.max()), variants)


@pytest.mark.parametrize("variants", [["novel"], ["novel", "repeat"]])
def test_past_moments_fit_the_ranker_of_a_night(variants):
    known = worlds.between(worlds.checkerboard(days=80), -np.inf, 70.0)
    few = {"lesson_min_users": 20, "boosting_leaf_hits": 1}
    night_model = importlib.import_module("past_moments").night_model
    ours = night_model(known, log_of(known, 40, variants), 70.0, worlds.ranker_settings(**few))
    theirs = worlds.fitted(known, 40, 70.0, len(variants) == 2, **few)
    assert len(ours.mixture_novel.trees)
    for one, other in ((ours.mixture_novel, theirs.mixture_novel), (ours.mixture_repeat, theirs.mixture_repeat)):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))
    for name in ("weights_novel", "weights_repeat", "trends", "item_facts"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name), equal_nan=True), name


def test_the_lessons_of_past_moments_keep_to_their_limit():
    known = worlds.checkerboard(days=80)
    loaded = importlib.import_module("past_moments")
    settings, model = worlds.ranker_settings(), worlds.fitted(known, 40, 70.0)
    past = loaded.candidates.Past(loaded.counts_of(known, 70.0, settings), model.first_days)
    nights = loaded.fit.lesson_nights(model, past, 70.0, settings)
    every, some = (loaded.lessons(known, nights, limit, 7).num_rows for limit in (10_000, 60))
    assert every > 100 and 20 < some < 100


@pytest.fixture
def split(tmp_path) -> Path:
    """The folder of a split as jobs/backtest.py --split writes it."""
    known, rng, none = worlds.checkerboard(), np.random.default_rng(4), no_topics(40)
    lists = {name: np.split(getattr(known, name), known.indptr[1:-1]) for name in ("items", "days", "weights")}
    (tmp_path / "histories").mkdir()
    pq.write_table(pa.table({"user_id": known.user_ids.tolist(), **lists}), tmp_path / "histories" / "part.parquet")
    (tmp_path / "split.json").write_text(json.dumps({"at_day": 40.0, "variants": ["novel", "repeat"]}))
    write_items(tmp_path, ItemViews(rng.normal(size=(40, 8)).astype(np.float32), nowhere(40), none, no_attributes(40)))
    return tmp_path


def ran(file: str, monkeypatch, capsys, *given: object) -> list[str]:
    """What a benchmark prints."""
    monkeypatch.setattr(sys, "argv", [file, *map(str, given)])
    runpy.run_path(str(FOLDER / file), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_past_moments_are_judged_and_compared_with_a_former_run(split, tmp_path, monkeypatch, capsys):
    asked = (split, "--quantiles", "0.5", "0.7", "--days", "3", "9")
    said = ran("past_moments.py", monkeypatch, capsys, *asked, "--save", tmp_path / "one.npz")
    assert sum(line.startswith("day ") for line in said) == 2
    heads = [line for line in said if "user-moments" in line]
    assert [line.split(" user")[0].rsplit(",", 1)[0] for line in heads] == [
        f"{variant}, next {days} days" for variant in ("novel", "repeat") for days in (3, 9)
    ]
    figures = [float(line.split()[1]) for line in said if line.startswith("  ")]
    assert len(figures) == 4 * 3 and max(figures) > 0.2
    again = ran("past_moments.py", monkeypatch, capsys, *asked, "--against", tmp_path / "one.npz")
    assert all(line.endswith("+0.0000 (+0.0000 to +0.0000)") for line in again if line.startswith("  "))
    slower = ("--set", "ranker.own_half_life_days=1", "--against", tmp_path / "one.npz")
    other = ran("past_moments.py", monkeypatch, capsys, *asked, *slower)
    assert not all(line.endswith("+0.0000 (+0.0000 to +0.0000)") for line in other if line.startswith("  "))
    with pytest.raises(SystemExit, match="other user-moments"):
        ran("past_moments.py", monkeypatch, capsys, split, "--quantiles", "0.6", "--days", "3", "9", *slower[2:])


def test_diversity_prints_a_table_for_each_variant(split, monkeypatch, capsys):
    said = ran("diversity.py", monkeypatch, capsys, split, "--days", "10")
    assert [line.partition(":")[0] for line in said if "as ranked" in line] == ["novel", "repeat"]
    rows = [line for line in said if line.startswith(("| dpp |", "| mmr |", "| msd |"))]
    assert len(rows) == 2 * 21 and "nan" not in "".join(rows)


def test_deletion_prints_what_is_lost_of_each_variant(split, monkeypatch, capsys):
    said = ran("deletion.py", monkeypatch, capsys, split, "--days", "10", "--users", "50")
    assert [line.partition(":")[0] for line in said[::2]] == ["novel", "repeat"]
    for line in said[1::2]:
        named, drawn, difference, low, high = map(float, re.findall(r"-?\d\.\d{3}", line))
        assert difference == pytest.approx(named - drawn, abs=2e-3) and low <= difference <= high
        assert named > max(2 * drawn, 0.2)  # without others the named weigh more: a loss below zero


def test_thresholds_of_returns_are_chosen_before_the_judged_windows(capsys):
    returns = importlib.import_module("forecast_returns")
    rng, users = np.random.default_rng(5), {}
    for user in range(300):
        days = np.sort(rng.uniform(0, 160, rng.poisson(160 * rng.gamma(0.5, 0.1)) + 1))
        users[f"u{user}"] = [(0, float(day)) for day in days]
    users["first"], users["last"] = [(0, 0.0)], [(0, 160.0)]
    fewer = {name: [one for one in events if one[1] < 125 or name == "last"] for name, events in users.items()}
    found = []
    for world in (users, fewer):
        returns.print_returns("planted", worlds.histories(world), 120.0)
        said = capsys.readouterr().out
        figures = [re.findall(rf"{name} (-?\d+\.\d{{3}})", said) for name in ("from", "accuracy", "F1", "RMSE", "R2")]
        assert [len(one) for one in figures] == [9, 9, 9, 6, 6]  # three horizons
        found.append(figures)
    assert found[0][0] == found[1][0] and len(set(found[0][0])) > 3
    assert found[0][2] != found[1][2]
    assert min(map(float, found[0][1])) > 0.6 and float(found[0][4][-2]) > 0.3

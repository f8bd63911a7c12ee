"""The shape of the code, as rules: who may import what, how long a file may be, which files conf/ holds."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from interest_model.config import load_settings
from interest_model.flow import JOBS

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "interest_model"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(REPOSITORY / "jobs").glob("*.py"), *REPOSITORY.glob("airflow_dags/*.py")])
# The Spark faces: frames in, frames out. All else in the package is plain Python, numpy or torch that a test calls
# without a JVM; a file that comes to need Spark is added here on purpose.
SPARK_FACES = {
    "commands", "job", "nightly", "on_executors", "reading", "runs", "session", "storage", "tracking",
    "history/arrivals", "history/events", "history/known", "history/mapping", "history/raw", "history/sessions",
    "history/windows", "history/items", "history/reruns",
    "encoding/behaviour_embeddings", "encoding/item_embeddings", "encoding/text_embeddings",
    "recommend/checks", "recommend/consumption", "recommend/daily", "recommend/fallback",
    "evaluation/day", "evaluation/report", "evaluation/splits", "evaluation/backtest", "evaluation/peers",
    "interest/topics", "interest/states", "interest/forecasts", "interest/profiles", "interest/trends",
    "interest/user_vectors",
    "models", "training/snapshot", "training/contest", "training/challenger", "training/registry",
    "training/distributed", "training/champion",
}  # fmt: skip
ARROW_CALLS = {"mapInArrow", "mapInPandas", "applyInPandas", "applyInArrow", "pandas_udf", "cogroup"}
MACHINE_PATH = re.compile(r"(?<![\w.~$}*-])/(home|root|work|Users|mnt)/\w")
REGISTRY = re.compile(r"index[-_]url|find[-_]links|https?://[^./\s\"'<>{}$]+[:/]", re.IGNORECASE)


def imports(file: Path, top_level_only: bool = False) -> set[str]:
    """Modules that a file imports; annotations-only imports (`if TYPE_CHECKING`) do not count."""
    tree = ast.parse(file.read_text())
    nodes = list(tree.body) if top_level_only else [node for part in tree.body for node in _run_nodes(part)]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _run_nodes(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return []
    return list(ast.walk(node))


def short(file: Path) -> str:
    return str(file.relative_to(REPOSITORY))


def roots(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def module(file: Path) -> str:
    return str(file.relative_to(PACKAGE).with_suffix(""))


def test_only_the_spark_faces_import_spark():
    users = {module(file) for file in PACKAGE.rglob("*.py") if roots(imports(file)) & {"pyspark", "delta"}}
    assert users <= SPARK_FACES


def test_all_else_loads_without_spark():
    plain = sorted({module(file) for file in PACKAGE.rglob("*.py")} - SPARK_FACES)
    names = ["interest_model." + name.replace("/", ".").removesuffix(".__init__") for name in plain]
    code = (
        "import importlib, sys\n"
        f"for name in {names}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'pyspark' not in sys.modules, name\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["flow", "tables", "errors", "config", "job_arguments", "cli"])
def test_light_files_import_nothing_heavy(name):
    heavy = "pyspark", "torch", "numpy", "pandas", "pyarrow", "mlflow", "transformers"
    code = f"import sys, interest_model.{name}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["flow", "tables", "errors"])
def test_the_first_files_to_read_need_only_the_standard_library(name):
    assert roots(imports(PACKAGE / f"{name}.py")) <= sys.stdlib_module_names | {"interest_model"}


@pytest.mark.parametrize(
    ("library", "owners"),
    [
        ("mlflow", {"interest_model/tracking.py", "interest_model/training/registry.py"}),
        ("petastorm", {"interest_model/training/snapshot.py"}),
        ("cryptography", {"interest_model/privacy.py"}),
    ],
)
def test_a_library_lives_in_one_place(library, owners):
    users = {short(file) for file in SOURCES if library in roots(imports(file))}
    assert users <= owners


def test_arrow_functions_live_in_on_executors():
    users = {
        short(file)
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute | ast.Name) and getattr(node, "attr", getattr(node, "id", "")) in ARROW_CALLS
    }
    assert users <= {"interest_model/on_executors.py"}


def test_only_the_session_file_makes_sessions():
    users = {short(file) for file in SOURCES if "getOrCreate" in file.read_text()}
    assert users <= {"interest_model/session.py", "interest_model/on_executors.py"}


@pytest.mark.parametrize("file", SOURCES, ids=short)
def test_files_functions_and_parameter_lists_stay_short(file):
    text = file.read_text()
    most = 40 if file.parent.name == "jobs" else 400
    if file.name != "tables.py":  # a list of contracts, not code: grows by one entry for each table
        assert len(text.splitlines()) <= most
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 70, f"{node.name} is too long"
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [one.arg for one in parameters if one.arg not in ("self", "cls")]
            assert len(named) <= 7, f"{node.name} has {len(named)} parameters"


@pytest.mark.parametrize("job", JOBS)
def test_every_step_has_its_job(job):
    assert (REPOSITORY / "jobs" / f"{job}.py").exists()


@pytest.mark.parametrize("file", sorted((REPOSITORY / "conf").rglob("*.yaml")), ids=short)
def test_every_yaml_file_of_conf_is_a_mapping(file):
    assert isinstance(yaml.safe_load(file.read_text()), dict)


@pytest.mark.parametrize("name", ["local", "cluster"])
def test_settings_layers_fit_the_settings(name):
    assert load_settings([REPOSITORY / "conf" / f"{name}.yaml"]) is not None


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [REPOSITORY / line for line in listed.stdout.splitlines()]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine path", "registry host"])
def test_nothing_of_one_machine_is_in_the_tree(pattern):
    found = []
    for file in tracked_files():
        if file == Path(__file__) or not file.is_file():
            continue
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
            if match := pattern.search(line):
                found.append(f"{short(file)}:{number}: {match.group(0)}")
    assert found == []


def test_a_pattern_finds_what_it_is_for():
    assert MACHINE_PATH.search("data in /home/somebody/logs")
    assert not MACHINE_PATH.search("${root}/work/x and ../work/y")
    assert REGISTRY.search("pip install --index-url https://x")
    assert REGISTRY.search("http://mirror:8080/simple")
    assert not REGISTRY.search("https://www.apache.org/licenses/")

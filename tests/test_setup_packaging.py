"""The wheel: holds the package, the jobs and conf/, and works from where it is installed."""

import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from interest_model import __version__

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that no build folder appears in the checkout."""
    pytest.importorskip("setuptools", reason="setuptools is not installed: make env")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("interest_model", "jobs", "conf"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    command = [sys.executable, "-m", "pip", "wheel", *options, "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


@pytest.mark.slow
def test_wheel_holds_package_jobs_and_settings(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    code = [*(REPOSITORY / "interest_model").rglob("*.py"), *(REPOSITORY / "jobs").rglob("*.py")]
    settings = [file for file in (REPOSITORY / "conf").rglob("*") if file.is_file()]
    assert {str(file.relative_to(REPOSITORY)) for file in code} <= names
    assert {f"interest_model/{file.relative_to(REPOSITORY)}" for file in settings} <= names
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/"))}


@pytest.mark.slow
def test_the_installed_package_finds_its_settings(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path)
    code = "from interest_model.config import conf_dir, load_settings; load_settings(); print(conf_dir())"
    command, environment = [sys.executable, "-P", "-c", code], {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(tmp_path / "interest_model" / "conf")


def test_one_version_everywhere():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-airflow.txt", "constraints-readers.txt"])
def test_constraints_pin_every_package_to_one_version(name):
    lines = [line for line in (REPOSITORY / name).read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    packages = [line.partition("==")[0] for line in lines]
    assert len(packages) == len(set(packages))


def test_what_is_installed_is_what_is_pinned():
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    found = distributions(path=site.getsitepackages())
    installed = {re.sub(r"[-_.]+", "-", one.name).lower(): one.version for one in found}
    differing = {
        name: version
        for name, version in installed.items()
        if name not in ("pip", "interest-model") and pinned.get(name) != version
    }
    assert differing == {}


def test_spark_and_its_airflow_provider_stay_apart():
    """pyspark-client overwrites files of pyspark."""
    assert "pyspark-client" not in (REPOSITORY / "constraints.txt").read_text()
    assert "pyspark-client" in (REPOSITORY / "constraints-airflow.txt").read_text()

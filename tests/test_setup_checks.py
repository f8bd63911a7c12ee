"""The checks before anything is installed: each lack is faked by a PATH that holds only what the test puts there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
TOOLS = ("bash", "env", "sed", "awk", "head", "cat", "dirname")
JAVA_17 = 'openjdk version "17.0.15" 2025-04-15'


class Machine:
    """A folder of commands that stands for a whole machine: all the checks see."""

    def __init__(self, folder: Path):
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.has("python3.11", f'exec {sys.executable} "$@"')
        self.has_java(JAVA_17)
        self.has_free_gb(50)

    def has(self, name: str, script: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)

    def has_java(self, version: str) -> None:
        self.has("java", f"echo '{version}' >&2")

    def has_free_gb(self, gb: int) -> None:
        self.has("df", f'echo header; echo "disk 100 0 {gb * 1048576 + 5} 1% /"')

    def lacks(self, name: str) -> None:
        (self.bin / name).unlink()

    def check(self, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [REPOSITORY / "make" / "checks.sh"],
            env={"PATH": str(self.bin), **environment},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path)


def refused(result: subprocess.CompletedProcess, *words: str) -> None:
    assert result.returncode == 6, result.stdout + result.stderr
    assert "remedy:" in result.stderr
    for word in words:
        assert word in result.stderr


def test_a_machine_with_everything_passes_and_names_its_python(machine):
    result = machine.check()
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == str(machine.bin / "python3.11")


def test_no_java(machine):
    machine.lacks("java")
    refused(machine.check(), "Java is missing", "openjdk-17-jre-headless")


@pytest.mark.parametrize(
    ("answer", "found"),
    [('java version "1.8.0_402"', "8"), ('openjdk version "11.0.22"', "11"), ('openjdk version "25" 2025-09-16', "25")],
)
def test_java_that_spark_cannot_use(machine, answer, found):
    machine.has_java(answer)
    refused(machine.check(), f"is version {found}:", "17 or 21")


def test_java_21_will_do(machine):
    machine.has_java('openjdk version "21.0.2" 2024-01-16')
    assert machine.check().returncode == 0


def test_java_home_wins_over_path(machine, tmp_path):
    old = tmp_path / "jdk-11" / "bin" / "java"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/bash\necho 'openjdk version \"11.0.22\"' >&2\n")
    old.chmod(0o755)
    refused(machine.check(JAVA_HOME=str(tmp_path / "jdk-11")), "jdk-11/bin/java is version 11")


def test_java_home_that_holds_no_java(machine, tmp_path):
    refused(machine.check(JAVA_HOME=str(tmp_path / "gone")), "JAVA_HOME is", "unset it")


def test_no_python_of_the_right_version(machine):
    machine.has("python3.11", "exit 1")
    machine.has("python3", "exit 1")
    refused(machine.check(), "no Python 3.11 or 3.12", "make PYTHON=")


def test_python_3_of_the_right_version_is_found(machine):
    machine.lacks("python3.11")
    machine.has("python3", f'exec {sys.executable} "$@"')
    assert machine.check().stdout.strip() == str(machine.bin / "python3")


def test_python_without_the_venv_module(machine):
    script = f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    machine.has("python3.11", script)
    refused(machine.check(), "no working venv module", "apt-get install python3.1")


def test_no_room_on_disk(machine):
    machine.has_free_gb(7)
    refused(machine.check(), "7 GB free", "8 GB needed")


def test_the_jars_cannot_be_fetched(tmp_path):
    """Spark's own start fails: the message says how to name local jars."""
    checkout = tmp_path / "checkout"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    shutil.copytree(REPOSITORY / "make", checkout / "make")
    shutil.copytree(REPOSITORY / "conf" / "spark", checkout / "conf" / "spark")
    python = checkout / ".venv" / "bin" / "python"
    python.write_text("#!/bin/bash\necho 'unresolved dependency: io.delta#delta-spark_2.13' >&2\nexit 1\n")
    python.chmod(0o755)
    result = subprocess.run(
        ["make/jars.sh"], cwd=checkout, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False
    )
    refused(result, "unresolved dependency", "Maven Central", "spark.jars /path/delta-spark_2.13-4.0.1.jar")
    assert not (checkout / ".venv" / ".jars").exists()

"""The Spark session: the only file that makes one. Static settings live in conf/spark/spark-defaults.conf."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from interest_model.config import conf_dir
from interest_model.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SPLITS = "spark.sql.files.minPartitionNum"
JAVA_VERSIONS = range(17, 24)  # Spark 4.0 needs 17; from 24 on its gateway does not start


def start_session(app: str, master: str = "", scratch: Path | None = None) -> "SparkSession":
    """A session with Delta, in UTC. Under spark-submit its own master and files win.

    master: used only where the process was started by plain python; "" leaves spark-defaults.conf's.
    scratch: folder for Spark's own temporary files.
    SetupError: Java missing or too old, or Delta's jars out of reach.
    """
    _prepare_environment()
    check_java()
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(app)
    if master and not _under_spark_submit():
        builder = builder.master(master)
    if scratch is not None:
        builder = builder.config("spark.local.dir", str(scratch)).config(
            "spark.sql.warehouse.dir", str(scratch / "hive")
        )
    try:
        session = builder.getOrCreate()
    except Exception as error:
        raise _start_failure(error) from error
    _check_delta(session)
    import delta.exceptions.captured  # noqa: F401  turns Java conflicts into Python errors, on import

    session.sparkContext.setLogLevel("ERROR")
    if session.conf.get(_SPLITS, None) is None:
        # lines are numbered by splits of files, cut in one pass and read in another: alike, where machines come and go
        session.conf.set(_SPLITS, session.sparkContext.defaultParallelism)
    return session


def _under_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _prepare_environment() -> None:
    """What must be set before the JVM and the Python workers start."""
    os.environ.setdefault("SPARK_CONF_DIR", str(conf_dir() / "spark"))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # collect() and plain UDFs ignore the session's zone and use the process's
    os.environ["TZ"] = "UTC"
    time.tzset()


def java_executable() -> str | None:
    """The `java` that Spark will use: JAVA_HOME's, else the one on PATH; None: there is none."""
    home = os.environ.get("JAVA_HOME")
    if home:
        return shutil.which("java", path=str(Path(home) / "bin"))
    return shutil.which("java")


def check_java() -> None:
    """SetupError unless a Java that Spark can use will be found."""
    remedy = "install a Java 17 runtime (Debian: openjdk-17-jre-headless) or point JAVA_HOME at one"
    java = java_executable()
    if java is None:
        raise SetupError(
            f"no Java found ({'JAVA_HOME' if os.environ.get('JAVA_HOME') else 'PATH'} was searched)", remedy
        )
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(\d+)(?:\.(\d+))?', answer.stderr + answer.stdout)
    major = int(match.group(2) if match.group(1) == "1" else match.group(1)) if match else 0
    if major not in JAVA_VERSIONS:
        found = f"{java} is Java {major or 'of an unknown version'}"
        raise SetupError(f"{found}; Spark 4.0 needs 17 to {JAVA_VERSIONS[-1]}", remedy)


def check_disk(folder: Path, least_gb: float) -> None:
    """SetupError where the disk that holds `folder` has less than `least_gb` free."""
    existing = next(one for one in [folder, *folder.parents] if one.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    if free_gb < least_gb:
        raise SetupError(
            f"{free_gb:.1f} GB free on the disk of {folder}; a night wants {least_gb:.1f} GB",
            "free some space, choose another --warehouse, or lower runtime.min_free_disk_gb",
        )


def _start_failure(error: Exception) -> SetupError:
    return SetupError(
        f"Spark did not start: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        "see the lines above; where Delta's jars could not be fetched, put delta-spark_2.13 and delta-storage on the "
        "machine and name them in spark.jars (conf/spark/spark-defaults.conf) instead of spark.jars.packages",
    )


def _check_delta(session: "SparkSession") -> None:
    try:
        session._jvm.java.lang.Class.forName(
            "io.delta.sql.DeltaSparkSessionExtension",
            True,
            session._jvm.java.lang.Thread.currentThread().getContextClassLoader(),
        )
    except Exception as error:
        raise SetupError(
            "the session has no Delta jars",
            "start with SPARK_CONF_DIR=conf/spark, or give spark-submit --packages io.delta:delta-spark_2.13:4.0.1",
        ) from error

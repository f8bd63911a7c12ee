"""Speed of sessions + windows against plain Spark SQL and DuckDB that give the same rows.

    python benchmarks/history.py [--users N] [--rounds N] [--online-retail ARCHIVE]

One process, two cores, alternating, medians after one round that warms up. The Spark variants write to the noop sink;
DuckDB, with two threads, makes tables in memory. DuckDB is not in the main environment (`make readers` makes the one
that holds it): put a folder with it on PYTHONPATH (pip install --target FOLDER duckdb), or only Spark is measured.
The log is generated from a seed, or read from Online Retail's archive of day files.
"""

import argparse
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

import history_sql
import numpy as np
import pandas as pd

from interest_model.config import load_settings
from interest_model.history.sessions import build_sessions
from interest_model.history.windows import build_windows
from interest_model.session import start_session


def generated_log(n_users: int, seed: int = 1) -> pd.DataFrame:
    """A year of sessions of five events on average, about fifty events per user, in random order."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(n_users), rng.geometric(0.1, n_users))
    lengths = rng.geometric(0.2, len(owner))
    gaps = rng.exponential(180, lengths.sum())
    since_first = np.cumsum(gaps) - np.repeat(np.cumsum(gaps)[np.cumsum(lengths) - lengths], lengths)
    seconds = np.repeat(rng.uniform(0, 365 * 86400, len(owner)), lengths) + since_first
    moments = pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(seconds.round(3), unit="s")
    items = (rng.zipf(1.3, len(gaps)) % 20_000).astype(str)
    log = pd.DataFrame({"user": np.repeat(owner, lengths), "item_id": items, "event_ts": moments})
    return as_events(log.sample(frac=1, random_state=seed))


def online_retail(archive: Path) -> pd.DataFrame:
    """The lines that name a customer, of all day files in the archive."""
    with tarfile.open(archive) as files:
        days = [files.extractfile(day) for day in files if day.name.endswith(".csv")]
        lines = pd.concat([pd.read_csv(day, dtype=str, encoding_errors="replace") for day in days], ignore_index=True)
    lines = lines.dropna(subset=["CustomerID"])
    moments = pd.to_datetime(lines["InvoiceDate"]).dt.tz_localize("UTC")
    return as_events(pd.DataFrame({"user": lines["CustomerID"], "item_id": lines["StockCode"], "event_ts": moments}))


def as_events(log: pd.DataFrame) -> pd.DataFrame:
    """The columns of table events that sessions and windows read."""
    log = log.reset_index(drop=True)
    log["event_ts"] = log["event_ts"].astype("datetime64[us, UTC]")
    log["event_id"] = pd.util.hash_pandas_object(log.index.to_series(), index=False).map("{:032x}".format)
    log["user_id"] = pd.util.hash_pandas_object(log.pop("user"), index=False).map("{:032x}".format)
    log["event_date"] = log["arrival_date"] = log["event_ts"].dt.date
    log["session_key"] = pd.Series([None] * len(log), dtype="string")
    return log.assign(event_type="click", weight=1.0, latitude=0.5, longitude=0.5, place_id="home")


def to_noop(frames) -> None:
    for frame in frames:
        frame.write.format("noop").mode("overwrite").save()


def spark_variants(spark, path: str, settings) -> dict:
    spark.read.parquet(path).createOrReplaceTempView("events")
    events = spark.table("events")
    ours = lambda: (build_sessions(events, settings.sessions), build_windows(events, settings.windows))  # noqa: E731
    texts = (history_sql.spark_sessions(settings.sessions), history_sql.spark_windows(settings.windows))
    plain = lambda: tuple(spark.sql(text) for text in texts)  # noqa: E731
    check_equal(ours(), plain())
    return {"stages": lambda: to_noop(ours()), "Spark SQL": lambda: to_noop(plain())}


def check_equal(ours, plain) -> None:
    """Stops unless both give the same number of rows with the same content, by a hash that ignores order."""
    from pyspark.sql import functions as F

    for left, right in zip(ours, plain, strict=True):
        sums = [
            frame.select(F.xxhash64(*left.columns).cast("decimal(38,0)").alias("hash"))
            .agg(F.count("*"), F.sum("hash"))
            .head()
            for frame in (left, right)
        ]
        if sums[0] != sums[1]:
            raise SystemExit(f"the two differ: {sums}")
        print(f"  equal: {sums[0][0]:,} rows", flush=True)


def duckdb_variant(path: str, settings) -> dict:
    try:
        import duckdb
    except ImportError:
        print("  duckdb is not importable: see the head of this file")
        return {}
    connection = duckdb.connect(config={"threads": 2})
    connection.execute(f"create view events as select * from read_parquet('{path}')")

    def run() -> None:
        connection.execute(f"create or replace temp table s as {history_sql.duckdb_sessions(settings.sessions)}")
        connection.execute(f"create or replace temp table w as {history_sql.duckdb_windows(settings.windows)}")

    run()
    counts = [connection.execute(f"select count(*) from {table}").fetchone()[0] for table in "sw"]
    print(f"  DuckDB rows: {counts[0]:,} sessions, {counts[1]:,} windows")
    return {"DuckDB": run}


def measure(variants: dict, rounds: int) -> None:
    seconds = {name: [] for name in variants}
    for number in range(rounds + 1):
        for name, run in variants.items():
            started = time.perf_counter()
            run()
            if number:
                seconds[name].append(time.perf_counter() - started)
    ours = statistics.median(seconds["stages"])
    for name, found in seconds.items():
        middle = statistics.median(found)
        rounded = ", ".join(f"{one:.1f}" for one in found)
        print(f"  {name:10} median {middle:6.1f} s  ({rounded})  its time / ours {middle / ours:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=40_000, help="users of the generated log, about fifty events each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--online-retail", type=Path, help="by-day.tar.gz of that log, instead of the generated log")
    arguments = parser.parse_args()
    log = online_retail(arguments.online_retail) if arguments.online_retail else generated_log(arguments.users)
    settings = load_settings()
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/events.parquet"
        log.to_parquet(path, index=False, coerce_timestamps="us")
        print(f"{len(log):,} events, {log['user_id'].nunique():,} users", flush=True)
        spark = start_session("benchmark", master="local[2]", scratch=Path(scratch))
        variants = spark_variants(spark, path, settings) | duckdb_variant(path, settings)
        measure(variants, arguments.rounds)
        spark.stop()


if __name__ == "__main__":
    main()

"""Speed of the encode stage in Spark against the same model outside it, and against naive pandas UDFs.

    python benchmarks/encode.py [--texts N] [--rounds N] [--device cpu|cuda] [--precision P] [--batch-tokens N]

One run, two cores, the contenders alternating, medians; models are loaded before the clock starts. Outside: two
processes of one thread, and one process of two threads; the faster counts. Naive: a pandas UDF that calls
sentence-transformers' encode().tolist() on each Arrow batch (it sorts inside the call), and one that goes through each
batch in its order, 32 texts at a time. No text appears twice, so that nothing is won by deduplication. Texts are those
of the real logs in INTEREST_DATA_DIR and titles strung together like behaviours; the sample's titles where it is unset.
With --device cuda only the outside part runs, in one process: local mode hands out no GPUs.

Beside the seconds by the clock stand the CPU seconds of all processes taking part (Linux): on a machine that others use
too the clock says little, the CPU time still compares.
"""

import argparse
import csv
import dataclasses
import functools
import gzip
import hashlib
import io
import os
import statistics
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from interest_model.config import Encoder, load_settings
from interest_model.encoding.model_files import model_folder

CORES = 2


def real_texts(folder: Path) -> list[list[str]]:
    """Distinct texts of three logs: films with genres, item descriptions, product words."""
    with gzip.open(folder / "movietweetings" / "movies.dat.gz", "rt", encoding="utf-8") as file:
        films = {". ".join(line.strip().split("::")[1:3]).replace("|", ", ") for line in file}
    with gzip.open(folder / "complete-journey-sample" / "products.csv.gz", "rt", encoding="utf-8") as file:
        products = {" ".join(filter(None, row[2:])) for row in csv.reader(file)}
    with tarfile.open(folder / "online-retail-uci" / "by-day.tar.gz") as days:
        files = [days.extractfile(day) for day in days if day.name.endswith(".csv")]
        readers = [csv.reader(io.TextIOWrapper(file, encoding="utf-8", errors="replace")) for file in files]
        articles = {row[2].strip() for reader in readers for row in reader}
    return [sorted(filter(None, texts)) for texts in (films, products, articles)]


def sample_texts() -> list[list[str]]:
    """Titles of the planted worlds."""
    from interest_model.sample import make_world

    presets = ("shop", "news", "video")
    worlds = [make_world(preset, 50, 10, 4000, date(2024, 1, 1), np.random.default_rng(1)) for preset in presets]
    return [sorted(set(world.titles)) for world in worlds]


def mixed_texts(n: int) -> list[str]:
    """At most n distinct texts in random order: items of each kind, and an eighth strung together like behaviours."""
    folder = os.environ.get("INTEREST_DATA_DIR")
    kinds = real_texts(Path(folder)) if folder else sample_texts()
    rng = np.random.default_rng(1)
    behaviours = ["; ".join(rng.choice(kinds[0], size)) for size in rng.integers(2, 20, n // 8)]
    share = (n - len(behaviours)) // len(kinds)
    chosen = [str(text) for kind in kinds for text in rng.permutation(kind)[:share]]
    return list(dict.fromkeys(rng.permutation(chosen + behaviours).tolist()))


def outside(texts: list[str], settings: Encoder, device: str, threads: int) -> int:
    """Encodes in this process; returns how many have a vector."""
    import torch

    from interest_model.encoding.text_encoder import encoder_for

    torch.set_num_threads(threads)
    return int(encoder_for(settings, device).encode(texts).valid.sum())


def outside_processes(pool: ProcessPoolExecutor, texts: list[str], settings: Encoder) -> int:
    parts = [texts[core::CORES] for core in range(CORES)]
    return sum(pool.map(outside, parts, [settings] * CORES, ["cpu"] * CORES, [1] * CORES))


def naive_udfs(folder: str, max_tokens: int):
    """Two pandas UDFs over texts; each worker loads its model once, which is kinder than naive code often is."""
    import pandas as pd
    from pyspark.sql.functions import pandas_udf

    def loaded():
        import sentence_transformers

        if not hasattr(sentence_transformers, "benchmark_model"):
            sentence_transformers.benchmark_model = sentence_transformers.SentenceTransformer(folder, device="cpu")
            sentence_transformers.benchmark_model.max_seq_length = max_tokens
        return sentence_transformers.benchmark_model

    @pandas_udf("array<float>")
    def whole_batch(texts: pd.Series) -> pd.Series:
        return pd.Series(loaded().encode(texts.tolist(), show_progress_bar=False).tolist())

    @pandas_udf("array<float>")
    def in_order(texts: pd.Series) -> pd.Series:
        parts = [texts.tolist()[start : start + 32] for start in range(0, len(texts), 32)]
        encoded = [loaded().encode(part, show_progress_bar=False).tolist() for part in parts]
        return pd.Series([vector for part in encoded for vector in part])

    return {"naive encode().tolist()": whole_batch, "naive, 32 in order": in_order}


def spark_contenders(texts: list[str], settings: Encoder) -> dict:
    """Name to function of a number of texts; each writes its vectors to the noop sink."""
    from interest_model.encoding.text_embeddings import encode_frame
    from interest_model.session import start_session

    spark = start_session("benchmark", master=f"local[{CORES}]")
    spark.conf.set("spark.sql.shuffle.partitions", str(CORES))
    rows = [(hashlib.sha256(text.encode()).hexdigest(), text) for text in texts]

    @functools.cache
    def frame(n: int):
        made = spark.createDataFrame(rows[:n], "text_hash string, text string").repartition(CORES).persist()
        made.count()
        return made

    def naive(udf):
        return lambda n: write(frame(n).repartition(CORES).select("text_hash", udf("text").alias("embedding")))

    def write(found) -> None:
        found.write.format("noop").mode("overwrite").save()

    contenders = {"stage in Spark": lambda n: write(encode_frame(frame(n), settings))}
    udfs = naive_udfs(str(model_folder("minilm")), settings.max_tokens)
    return contenders | {name: naive(udf) for name, udf in udfs.items()}


def cpu_seconds() -> float:
    """CPU time so far of this process and all its descendants, those that have ended included."""
    parents, ticks = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended while we looked
            continue
        parents[int(stat.parent.name)], ticks[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))

    def ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and ours(parents[process]))

    return sum(spent for process, spent in ticks.items() if ours(process)) / os.sysconf("SC_CLK_TCK")


def measure(contenders: dict, n: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Median (clock, CPU) seconds of each. Before each turn a few texts go through: every worker has its model."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for round_number in range(rounds):
        for name, run in contenders.items():
            run(4 * CORES)
            clock, cpu = time.perf_counter(), cpu_seconds()
            run(n)
            taken[name].append((time.perf_counter() - clock, cpu_seconds() - cpu))
            print(f"round {round_number + 1}: {name}: clock, CPU {taken[name][-1]}", flush=True)
    return {name: tuple(map(statistics.median, zip(*pairs, strict=True))) for name, pairs in taken.items()}


def report(medians: dict[str, tuple[float, float]], n: int) -> None:
    for name, (clock, cpu) in medians.items():
        print(f"{name:28} {clock:8.2f} s {n / clock:8.0f} texts/s {cpu:8.2f} CPU s {n / cpu:8.0f} texts per CPU s")
    stage = medians.get("stage in Spark")
    if stage:
        outside = [pair for name, pair in medians.items() if name.startswith("outside")]
        rivals = {"the same model outside": tuple(map(min, zip(*outside, strict=True)))}
        rivals |= {name: pair for name, pair in medians.items() if name.startswith("naive")}
        for name, (clock, cpu) in rivals.items():
            print(f"speed of the stage against {name}: {clock / stage[0]:.2f} by clock, {cpu / stage[1]:.2f} by CPU")


def main() -> None:
    defaults = load_settings().encoder
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default=defaults.precision)
    parser.add_argument("--batch-tokens", type=int, default=defaults.batch_tokens)
    options = parser.parse_args()
    settings = dataclasses.replace(defaults, precision=options.precision, batch_tokens=options.batch_tokens)
    texts = mixed_texts(options.texts)
    print(f"{len(texts)} texts, {np.mean([len(text) for text in texts]):.0f} characters on average, {settings}")
    if options.device == "cuda":
        contenders = {"outside, one GPU": lambda n: outside(texts[:n], settings, "cuda:0", CORES)}
        report(measure(contenders, len(texts), options.rounds), len(texts))
        return
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        contenders = {
            "outside, 2 processes": lambda n: outside_processes(pool, texts[:n], settings),
            "outside, 2 threads": lambda n: outside(texts[:n], settings, "cpu", CORES),
        }
        contenders |= spark_contenders(texts, settings)
        report(measure(contenders, len(texts), options.rounds), len(texts))


if __name__ == "__main__":
    main()

"""evaluation: the ranker under an offline protocol, on all that had arrived by the run_date."""

import argparse
from functools import partial
from pathlib import Path

from pyspark.sql import functions as F

from interest_model.encoding.model_files import encoder_version
from interest_model.evaluation.backtest import backtest
from interest_model.evaluation.report import pooled_rows, text_table
from interest_model.evaluation.splits import is_drawn, split
from interest_model.history.known import events_known, items_known
from interest_model.job import Night, guarded, run_alone
from interest_model.job_arguments import add_backtest_arguments
from interest_model.recommend.consumption import consumed


def run(night: Night, protocol: str, seeds: list[int], peers: Path | None, fresh: bool) -> None:
    consumption = consumed(events_known(night.read("events"), night.run_date)).persist()
    encoded = F.col("encoder") == encoder_version(night.settings.encoder)
    embeddings = items_known(night.read("item_embeddings").where(encoded), night.run_date)
    for seed in seeds if is_drawn(protocol) else [0]:
        parts = split(consumption, protocol, night.settings.evaluation.temporal_quantile, seed)
        rows = backtest(parts, embeddings, night.settings, night.source.repeats, peers, fresh)
        stamped = rows.withColumns({"run_date": F.lit(night.run_date), "source": F.lit(night.source.name)})
        where = f"run_date = DATE'{night.run_date}' and protocol = '{protocol}' and seed = {seed}"
        night.replace("evaluation", stamped, where)
    written = night.storage.read_day("evaluation", night.run_date).where(F.col("protocol") == protocol)
    night.reporter.say(text_table(pooled_rows(written)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_backtest_arguments(parser)
    given = parser.parse_args()
    job = partial(run, protocol=given.protocol, seeds=given.seeds, peers=given.peers, fresh=not given.judge)
    raise SystemExit(guarded(lambda: run_alone("backtest", job, given)))

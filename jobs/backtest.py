"""evaluation: the ranker under an offline protocol, on all that had arrived by the run_date."""

import argparse
import datetime

from pyspark.sql import functions as F

from interest_model.encoding.model_files import encoder_version
from interest_model.evaluation.backtest import backtest
from interest_model.evaluation.report import pooled_rows, text_table
from interest_model.evaluation.splits import PROTOCOLS, is_drawn, split
from interest_model.history.known import events_known, items_known
from interest_model.job import Night, guarded, run_alone
from interest_model.job_arguments import add_night_arguments
from interest_model.recommend.consumption import consumed


def run(night: Night, protocol: str, seeds: list[int]) -> None:
    consumption = consumed(events_known(night.read("events"), night.run_date)).persist()
    embeddings = night.read("item_embeddings").where(F.col("encoder") == encoder_version(night.settings.encoder))
    for seed in seeds if is_drawn(protocol) else [0]:
        parts = split(consumption, protocol, night.settings.evaluation.temporal_quantile, seed)
        rows = backtest(parts, items_known(embeddings, night.run_date), night.settings, night.source.repeats)
        list_date = datetime.date(1970, 1, 1) + datetime.timedelta(days=int(parts.at_day) - 1)
        stamp = {"run_date": night.run_date, "protocol": protocol, "seed": seed, "source": night.source.name}
        stamp |= {"horizon_days": parts.horizon_days, "list_date": list_date}
        where = f"run_date = DATE'{night.run_date}' and protocol = '{protocol}' and seed = {seed}"
        night.replace("evaluation", rows.withColumns({name: F.lit(value) for name, value in stamp.items()}), where)
    written = night.read("evaluation").where(f"run_date = DATE'{night.run_date}' and protocol = '{protocol}'")
    night.reporter.say(text_table(pooled_rows(written)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_night_arguments(parser)
    parser.add_argument("--protocol", choices=PROTOCOLS, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the draws; loo-shuffled only")
    options = parser.parse_args()
    raise SystemExit(
        guarded(lambda: run_alone("backtest", lambda night: run(night, options.protocol, options.seeds), options))
    )

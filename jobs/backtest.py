"""evaluation: the ranker under an offline protocol, on all that had arrived by the run_date."""

import argparse
from contextlib import closing

from pyspark.sql import functions as F

from interest_model.errors import UsageError
from interest_model.evaluation.backtest import backtest, cuts, facts, split_for_peers
from interest_model.evaluation.report import summary
from interest_model.history.known import events_known
from interest_model.job import Night, guarded, run_alone
from interest_model.job_arguments import add_backtest_arguments, write_text
from interest_model.nightly import tracker_of
from interest_model.recommend.consumption import consumed
from interest_model.recommend.daily import views_known


def run(night: Night, given: argparse.Namespace) -> None:
    if given.split_only and given.peers is None:
        raise UsageError("--split-only writes files for peers", "name their folder: --peers FOLDER")
    consumption = consumed(events_known(night.read("events"), night.run_date)).persist()
    wheres = []
    for where, splits in cuts(consumption, given, night.run_date, night.source.zone, night.settings.evaluation):
        if given.split_only:
            night.reporter.say(f"written: {split_for_peers(splits, night.settings, night.source.repeats, given.peers)}")
            continue
        views = views_known(night, splits[0].night or night.run_date, splits[0].model_day)
        rows = backtest(splits, views, night.settings, night.source.repeats, given.peers)
        stamp = {"source": F.lit(night.source.name), "run_date": splits[0].judged_on(night.run_date)}
        night.replace("evaluation", rows.withColumns(stamp), where)
        wheres.append(f"({where})")
    if not wheres:
        return
    about = facts(given, night)
    found = summary(night.read("evaluation").where(" or ".join(wheres)), night.settings.evaluation.cutoffs, about)
    night.reporter.say(found.text)
    write_text(given.markdown, found.page)
    with closing(tracker_of(night)) as tracker:
        tracker.log_backtest(night, about, found.figures, found.page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_backtest_arguments(parser)
    arguments = parser.parse_args()
    raise SystemExit(guarded(lambda: run_alone("backtest", lambda night: run(night, arguments), arguments)))

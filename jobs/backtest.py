"""evaluation: the ranker under an offline protocol, on all that had arrived by the run_date."""

import argparse
from contextlib import closing

from interest_model.evaluation.backtest import backtest, cuts, facts, write_splits
from interest_model.evaluation.report import summary
from interest_model.history.known import events_known
from interest_model.job import Night, guarded, run_alone
from interest_model.job_arguments import add_backtest_arguments, checked_backtest, write_text
from interest_model.nightly import tracker_of
from interest_model.recommend.consumption import consumed


def run(night: Night, given: argparse.Namespace) -> None:
    consumption = consumed(events_known(night.read("events"), night.run_date)).persist()
    moments = cuts(consumption, given, night.run_date, night.source.zone, night.settings.evaluation)
    if given.split:
        write_splits(moments, night, given.split)
        return
    wheres = []
    for where, splits in moments:
        night.replace("evaluation", backtest(splits, night, given.peers), where)
        night.reporter.say(f"judged: evaluation where {where}")  # many nights take hours
        wheres.append(f"({where})")
    about = facts(given, night)
    found = summary(night.read("evaluation").where(" or ".join(wheres)), night.settings.evaluation.cutoffs, about)
    night.reporter.say(found.text)
    write_text(given.markdown, found.page)
    with closing(tracker_of(night)) as tracker:
        tracker.log_backtest(night, about, found.figures, found.page)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_backtest_arguments(parser)
    given = parser.parse_args()
    raise SystemExit(guarded(lambda: run_alone("backtest", lambda night: run(night, given), checked_backtest(given))))

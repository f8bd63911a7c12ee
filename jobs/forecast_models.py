"""forecast_models: models of interest shares and returns, fitted again on nights when the last ones are too old."""

import math

from pyspark.sql import functions as F

from interest_model.interest.forecast_models import usable
from interest_model.interest.forecasts import fit_models, plan_of, training_histories
from interest_model.interest.topics import load_tonight, version_in_force
from interest_model.job import Night, main
from interest_model.recommend.consumption import recent
from interest_model.recommend.model_rows import from_rows, to_rows


def run(night: Night) -> None:
    settings, interest, day = night.settings.forecast, night.settings.interest, night.run_date
    before = version_in_force(night.read("forecast_models"), day, included=False)
    plan, stored = plan_of(settings, interest), before.toArrow()
    young = stored.num_rows and (day - stored.column("run_date")[0].as_py()).days < settings.refit_days
    if young and usable(from_rows(stored), plan):
        night.replace_days("forecast_models", before.where(F.lit(False)))
        return
    known = night.known_events()
    _, tonight = load_tonight(night, known)
    reach = interest.lookback_days + math.ceil(plan.reach_days)
    users = training_histories(recent(known, day, reach), tonight.item_ids, settings.training_users, settings.seed)
    arrays = fit_models(users, tonight.topics, tonight.at_day, settings, interest)
    night.step.counts |= {"users": users.n_users, "arrays": len(arrays)}
    night.replace_days("forecast_models", night.spark.createDataFrame(to_rows(arrays, day, "forecast")))


if __name__ == "__main__":
    raise SystemExit(main("forecast_models", run, __doc__))

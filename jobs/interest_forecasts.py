"""interest_forecasts, user_returns: what every active user will be interested in, and whether the user comes back."""

from pyspark.sql import functions as F

from interest_model.interest.forecasts import load_models, return_rows, share_rows
from interest_model.interest.states import state_settings
from interest_model.interest.topics import load_tonight, version_in_force
from interest_model.job import Night, main
from interest_model.recommend.consumption import active_users, user_histories


def run(night: Night) -> None:
    settings, interest, day = night.settings.forecast, night.settings.interest, night.run_date
    arrays, version = load_models(version_in_force(night.read("forecast_models"), day, included=True))
    events, tonight = load_tonight(night, night.known_events())
    active = active_users(events, day, night.settings.recommendations.active_days)
    own = events.join(active, "user_id", "left_semi")
    histories = user_histories(own, tonight.item_ids, interest.history_length).persist()
    stamp = {"run_date": F.lit(day), "model_version": F.lit(version)}
    shares = share_rows(histories, tonight.topics, tonight.at_day, settings, state_settings(interest), arrays)
    night.replace_days("interest_forecasts", shares.withColumns(stamp))
    returns = return_rows(histories, tonight.topics, tonight.at_day, settings, arrays)
    night.replace_days("user_returns", returns.withColumns(stamp))


if __name__ == "__main__":
    raise SystemExit(main("interest_forecasts", run, __doc__))

"""user_profiles: every active user's interests, where they are going, and whether the user comes back, for reading."""

from pyspark.sql import functions as F

from interest_model.interest.profiles import user_profiles
from interest_model.interest.states import as_tiers, state_settings, user_states
from interest_model.interest.topics import load_tonight
from interest_model.job import Night, main
from interest_model.recommend.consumption import active_users, user_histories


def run(night: Night) -> None:
    settings, nearness, day = night.settings.interest, night.settings.nearness, night.run_date
    events, tonight = load_tonight(night, night.known_events())
    active = active_users(events, day, night.settings.recommendations.active_days)
    own = events.join(active, "user_id", "left_semi")
    histories = user_histories(own, tonight.item_ids, settings.history_length, nearness.columns)
    tiers = as_tiers(tonight.topics, tonight.at_day, settings.half_life_days)
    states = user_states(histories, tiers, tonight.at_day, state_settings(settings), nearness)
    forecasts = night.read("interest_forecasts").where(F.col("run_date") == F.lit(day))
    returns = night.read("user_returns").where(F.col("run_date") == F.lit(day))
    profiles = user_profiles(states, forecasts, returns, tonight.tree)
    made_by = returns.select("model_version").head()
    stamp = {"run_date": F.lit(day), "topic_version": F.lit(tonight.version)}
    stamp["model_version"] = F.lit(made_by["model_version"] if made_by else "rule")
    night.replace_days("user_profiles", profiles.withColumns(stamp))


if __name__ == "__main__":
    raise SystemExit(main("user_profiles", run, __doc__))

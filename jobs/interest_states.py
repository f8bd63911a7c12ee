"""interest_states: strengths, shares, trends and status of the users whose events arrived tonight."""

from pyspark.sql import functions as F

from interest_model.interest.states import as_tiers, state_settings, user_states, users_who_acted
from interest_model.interest.topics import load_tonight
from interest_model.job import Night, main
from interest_model.recommend.consumption import user_histories


def run(night: Night) -> None:
    settings, nearness, day = night.settings.interest, night.settings.nearness, night.run_date
    events, tonight = load_tonight(night, night.known_events())
    acted = users_who_acted(events, night.after, day)
    own = events.join(acted, "user_id", "left_semi")
    histories = user_histories(own, tonight.item_ids, settings.history_length, nearness.columns)
    tiers = as_tiers(tonight.topics, tonight.at_day, settings.half_life_days)
    rows = user_states(histories, tiers, tonight.at_day, state_settings(settings), nearness)
    stamp = {"run_date": F.lit(day), "topic_version": F.lit(tonight.version)}
    night.replace_days("interest_states", rows.withColumns(stamp))


if __name__ == "__main__":
    raise SystemExit(main("interest_states", run, __doc__))

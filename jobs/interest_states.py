"""interest_states: strengths, shares, trends and status of the users whose events arrived tonight."""

from datetime import timedelta

from pyspark.sql import functions as F

from interest_model.interest.states import Tier, population_shares, state_settings, user_states, users_who_acted
from interest_model.interest.topics import SHOWN, load_memberships, load_tree, version_in_force
from interest_model.job import Night, main
from interest_model.recommend.consumption import catalogue, end_of_day, timed, user_histories


def run(night: Night) -> None:
    settings, day = night.settings.interest, night.run_date
    since = F.col("event_date") > F.lit(day - timedelta(days=settings.lookback_days))
    events = timed(night.known_events().where(since))
    at_day = end_of_day(day, night.source.zone)
    items = catalogue(events, at_day, 0)
    tree, version = load_tree(version_in_force(night.read("topics"), day, included=True), SHOWN)
    memberships = load_memberships(night.read("item_topics"), day, tree, items.item_ids.tolist())
    tiers = [
        Tier(
            tree.topic_ids[tree.in_tier(number)],
            membership,
            population_shares(membership, items.counts, at_day, settings.half_life_days),
        )
        for number, membership in enumerate(memberships, start=1)
    ]
    acted = users_who_acted(events, night.after, day)
    histories = user_histories(events.join(acted, "user_id", "left_semi"), items.item_ids, settings.history_length)
    rows = user_states(histories, tiers, at_day, state_settings(settings))
    stamp = {"run_date": F.lit(day), "topic_version": F.lit(version)}
    night.replace_days("interest_states", rows.withColumns(stamp))


if __name__ == "__main__":
    raise SystemExit(main("interest_states", run, __doc__))

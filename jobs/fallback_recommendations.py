"""fallback_recommendations: the lists for people not known yet, for all and for each place with enough events."""

from interest_model.job import Night, main
from interest_model.recommend.consumption import consumed, end_of_day
from interest_model.recommend.daily import load_model
from interest_model.recommend.fallback import fallback_lists


def run(night: Night) -> None:
    model, night.model_version = load_model(night.storage.read_day("ranker_models", night.run_date))
    events = consumed(night.known_events())
    at_day = end_of_day(night.run_date, night.source.zone)
    lists = fallback_lists(events, model, at_day, night.settings.recommendations)
    night.replace_days("fallback_recommendations", night.issued(lists))


if __name__ == "__main__":
    raise SystemExit(main("fallback_recommendations", run, __doc__))

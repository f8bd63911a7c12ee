"""ranker_models: the night's ranker, fitted anew on everything known tonight."""

from interest_model.job import Night, main
from interest_model.recommend.consumption import catalogue, consumed, end_of_day, ranker_histories
from interest_model.recommend.daily import fit_ranker, views_known
from interest_model.recommend.model_rows import to_rows, version_of


def run(night: Night) -> None:
    settings, zone = night.settings.ranker, night.source.zone
    at_day = end_of_day(night.run_date, zone)
    events = consumed(night.known_events())
    items = catalogue(events, at_day, settings.learning_days)
    histories = ranker_histories(events, items.item_ids, settings).persist()
    views = views_known(night, night.run_date, night.run_date)(items)
    model = fit_ranker(histories, items, views, at_day, settings, night.source.repeats)
    arrays = model.to_arrays()
    night.model_version = version_of(arrays, "blend")
    night.step.counts["items"] = model.n_items
    night.replace_days("ranker_models", night.spark.createDataFrame(to_rows(arrays, night.run_date, "blend")))


if __name__ == "__main__":
    raise SystemExit(main("ranker", run, __doc__))

"""ranker_models: the night's ranker, fitted anew on everything known tonight."""

from interest_model.errors import DataError
from interest_model.job import Night, main
from interest_model.recommend.consumption import catalogue, consumed, end_of_day, ranker_histories
from interest_model.recommend.daily import fit_ranker, views_known
from interest_model.recommend.stored import to_table


def run(night: Night) -> None:
    settings, zone = night.settings.ranker, night.source.zone
    at_day = end_of_day(night.run_date, zone)
    events = consumed(night.known_events())
    items = catalogue(events, at_day, settings.learning_days)
    if not len(items.item_ids) and not night.known_events().isEmpty():
        raise DataError(
            f"table events up to {night.run_date}: no event counts as consumption, so there is nothing to recommend",
            f"look at `consumption` in the mapping {night.source.name}; lists begin with the first event that counts",
        )
    histories = ranker_histories(events, items.item_ids, settings).persist()
    views = views_known(night, night.run_date, night.run_date)(items)
    model = fit_ranker(histories, items, views, at_day, settings, night.source.repeats)
    rows, night.model_version = to_table(model, night.run_date)
    night.step.counts["items"] = model.n_items
    night.replace_days("ranker_models", night.spark.createDataFrame(rows))


if __name__ == "__main__":
    raise SystemExit(main("ranker", run, __doc__))

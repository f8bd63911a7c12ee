"""daily_recommendations: a list for every active user. The night's last table: it appears only when its checks pass."""

from interest_model.history.known import items_known
from interest_model.job import Night, main
from interest_model.recommend.checks import check_lists
from interest_model.recommend.consumption import active_users, consumed, end_of_day, item_titles, ranker_histories
from interest_model.recommend.daily import daily_lists, list_rows, load_model


def run(night: Night) -> None:
    settings = night.settings.recommendations
    model, night.model_version = load_model(night.storage.read_day("ranker_models", night.run_date))
    known = night.known_events()
    active = active_users(known, night.run_date, settings.active_days)
    histories = active.join(ranker_histories(consumed(known), model.item_ids, night.settings.ranker), "user_id", "left")
    titles = item_titles(items_known(night.read("items"), night.run_date), model.item_ids)
    at_day = end_of_day(night.run_date, night.source.zone)
    lists = daily_lists(histories, model, titles, at_day, settings, night.source).persist()
    check_lists(lists, active, settings.list_length)
    night.replace_days("daily_recommendations", night.issued(list_rows(lists)))


if __name__ == "__main__":
    raise SystemExit(main("daily_recommendations", run, __doc__))

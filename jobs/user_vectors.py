"""user_vectors: where the sequence model in force sees every active user now and some days on; no rows without one."""

from pyspark.sql import functions as F

from interest_model.interest.user_vectors import vector_rows
from interest_model.job import Night, main
from interest_model.recommend.consumption import active_users, consumed, end_of_day, user_histories
from interest_model.recommend.histories import PLACE
from interest_model.storage import schema_of
from interest_model.tables import USER_VECTORS
from interest_model.training.champion import load_champion, tonight


def run(night: Night) -> None:
    settings, day, champion = night.settings, night.run_date, load_champion(night)
    if champion is None:
        night.reporter.say(f"no model {settings.promotion.model} was in force on {day}: no user vectors")
        night.replace_days("user_vectors", night.spark.createDataFrame([], schema_of(USER_VECTORS)))
        return
    known = night.known_events()
    items, model = tonight(night, champion, consumed(known))
    place = PLACE if model.settings.place_bias else ()
    own = user_histories(consumed(known), items.item_ids, model.settings.max_length, place)
    active = active_users(known, day, settings.recommendations.active_days)
    at_day, ahead = end_of_day(day, night.source.zone), (0, *settings.forecast.horizons_days)
    rows = vector_rows(active.join(own, "user_id", "left"), model, at_day, ahead, settings.encoder.gpu_per_task)
    stamp = {"run_date": F.lit(day), "model_version": F.lit(champion.model_version)}
    night.replace_days("user_vectors", rows.withColumns(stamp))


if __name__ == "__main__":
    raise SystemExit(main("user_vectors", run, __doc__))

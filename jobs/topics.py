"""topics, item_topics: tonight's version of the hierarchy where it changed, and the items whose topics changed."""

from datetime import timedelta

from interest_model.encoding.model_files import encoder_version
from interest_model.history.known import items_known
from interest_model.interest import topics
from interest_model.job import Night, main


def run(night: Night) -> None:
    day, spark = night.run_date, night.spark
    rows_before = topics.version_in_force(night.read("topics"), day, included=False)
    former, items = topics.former_and_items(night, rows_before)
    version = topics.next_version(former, items, night.settings.topics, f"{day:%Y%m%d}")
    for note in version.notes:
        night.reporter.say(f"{day}: {note}")
    rows = topics.topic_rows(version, rows_before, day, encoder_version(night.settings.encoder))
    night.replace_days("topics", rows_before.limit(0) if rows is None else spark.createDataFrame(rows))
    placed = spark.createDataFrame(topics.item_rows(version, items.item_ids, day))
    in_force = items_known(night.read("item_topics"), day - timedelta(days=1))
    night.replace_days("item_topics", topics.changed_rows(placed, in_force))
    if former is None and not version.base.depth:
        night.reporter.say(f"{day}: neither categories nor encoded texts to make topics of; no rows of interests")
    night.step.counts["topics"] = len(version.shown.topic_ids)


if __name__ == "__main__":
    raise SystemExit(main("topics", run, __doc__))

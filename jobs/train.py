"""promotions, and a version in the model registry: a sequence model of what had arrived by the run_date, judged."""

from interest_model.encoding.item_embeddings import embeddings_known
from interest_model.evaluation.splits import split
from interest_model.history.known import events_known, items_known
from interest_model.job import Night, main
from interest_model.recommend.consumption import consumed
from interest_model.training import challenger


def run(night: Night) -> None:
    consumption = consumed(events_known(night.read("events"), night.run_date)).persist()
    described = items_known(night.read("items"), night.run_date)
    parts = split(consumption, "temporal", night.settings.evaluation.temporal_quantile, 0)
    work = challenger.prepare(night, parts, embeddings_known(night, night.run_date), described)
    if not challenger.decided_before(night, work):
        challenger.settle(night, parts, work, challenger.registered(night, parts, work))
    consumption.unpersist()


if __name__ == "__main__":
    raise SystemExit(main("train", run, __doc__))

"""promotions, and a version in the model registry: a sequence model of what had arrived by the run_date, judged."""

from pyspark.sql import functions as F

from interest_model.encoding.model_files import encoder_version
from interest_model.evaluation.splits import split
from interest_model.history.known import events_known, items_known
from interest_model.job import Night, main
from interest_model.recommend.consumption import consumed
from interest_model.training import challenger


def run(night: Night) -> None:
    consumption = consumed(events_known(night.read("events"), night.run_date)).persist()
    parts = split(consumption, "temporal", night.settings.evaluation.temporal_quantile, 0)
    encoded = F.col("encoder") == encoder_version(night.settings.encoder)
    embeddings = items_known(night.read("item_embeddings").where(encoded), night.run_date)
    work = challenger.prepare(night, parts, embeddings)
    if not challenger.decided_before(night, work):
        version = challenger.registered(night, work, challenger.fitted(night, work))
        challenger.decide(night, work, version, challenger.judged(night, parts, work, version))
    consumption.unpersist()


if __name__ == "__main__":
    raise SystemExit(main("train", run, __doc__))

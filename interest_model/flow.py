"""The steps of a night, in order: what each reads and writes. Standard library only.

The command line, the Airflow DAG and the docs all take their order from here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step: the file under jobs/ that runs it, tables it reads, tables it writes."""

    job: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


# where no hierarchy is in force, the items tell whether there can be one
_TOPICS = ("topics", "item_topics", "items", "item_embeddings")

STEPS = (
    Step("events", ("raw", "events", "events_rejected"), ("events", "events_rejected")),
    Step("items", ("raw", "items", "events_rejected"), ("items", "events_rejected")),
    Step("sessions", ("events", "sessions"), ("sessions",)),
    Step("windows", ("events", "windows"), ("windows",)),
    Step("item_embeddings", ("items", "item_embeddings", "text_embeddings"), ("text_embeddings", "item_embeddings")),
    Step(
        "behaviour_embeddings",
        ("events", "windows", "items", "text_embeddings"),
        ("text_embeddings", "behaviour_embeddings"),
    ),
    Step("topics", ("items", "item_embeddings", "topics", "item_topics"), ("topics", "item_topics")),
    Step("interest_states", ("events", *_TOPICS), ("interest_states",)),
    Step("forecast_models", ("events", *_TOPICS, "forecast_models"), ("forecast_models",)),
    Step(
        "interest_forecasts",
        ("events", *_TOPICS, "forecast_models"),
        ("interest_forecasts", "user_returns"),
    ),
    Step(
        "user_profiles",
        ("events", *_TOPICS, "interest_forecasts", "user_returns"),
        ("user_profiles",),
    ),
    Step("interest_trends", ("events", *_TOPICS), ("interest_trends",)),
    Step("user_vectors", ("events", "items", "item_embeddings", "promotions"), ("user_vectors",)),
    Step(
        "evaluate_day",
        ("events", "ranker_models", "daily_recommendations"),
        ("evaluation",),
    ),
    Step("ranker", ("events", "items", "item_embeddings", "topics", "item_topics", "promotions"), ("ranker_models",)),
    Step("fallback_recommendations", ("events", "ranker_models"), ("fallback_recommendations",)),
    Step("daily_recommendations", ("events", "items", "ranker_models"), ("daily_recommendations",)),
)
JOBS = tuple(step.job for step in STEPS)

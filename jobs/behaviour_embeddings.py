"""behaviour_embeddings: the current windows that tonight's arrivals changed, put into words and encoded."""

from interest_model.encoding.behaviour_embeddings import behaviour_embeddings, behaviour_texts
from interest_model.encoding.model_files import encoder_version
from interest_model.encoding.text_embeddings import encode_frame, new_texts
from interest_model.history.arrivals import arrived_between, in_windows
from interest_model.history.known import items_known, windows_known
from interest_model.history.windows import first_day, window_input_days
from interest_model.job import Night, main


def run(night: Night) -> None:
    encoder, behaviour = night.settings.encoder, night.settings.behaviour
    version = encoder_version(encoder)
    current = [(behaviour.window_kind, first_day(behaviour.window_kind, night.run_date))]
    events = night.read("events")
    events = events.where(events["event_date"].isin(window_input_days(current)))
    stored = night.read("windows").where(in_windows(current))
    windows = windows_known(stored, events, night.run_date, night.settings.windows)
    changed = windows.where(arrived_between(night.after, night.run_date, "last_arrival_date"))
    items = items_known(night.read("items"), night.run_date)
    texts = behaviour_texts(night.counted("windows", changed), items, behaviour).persist()
    fresh = new_texts(texts, night.read("text_embeddings"), version)
    night.insert_missing("text_embeddings", encode_frame(fresh, encoder))
    rows = behaviour_embeddings(texts, night.read("text_embeddings"), version, night.run_date)
    night.replace_days("behaviour_embeddings", rows)
    texts.unpersist()


if __name__ == "__main__":
    raise SystemExit(main("behaviour_embeddings", run, __doc__))

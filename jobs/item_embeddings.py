"""item_embeddings (and text_embeddings): vectors of items that are new or changed; a text is encoded once."""

from interest_model.encoding.item_embeddings import item_embeddings, items_to_encode
from interest_model.encoding.model_files import encoder_version
from interest_model.encoding.text_embeddings import encode_frame, new_texts
from interest_model.history.arrivals import days_of
from interest_model.job import Night, main


def run(night: Night) -> None:
    settings = night.settings.encoder
    version = encoder_version(settings)
    items = night.counted("items", items_to_encode(night, version))
    fresh = new_texts(items, night.read("text_embeddings"), version)
    night.insert_missing("text_embeddings", encode_frame(fresh, settings))
    rows = item_embeddings(items, night.read("text_embeddings"), version)
    night.replace_days("item_embeddings", rows, {night.run_date} | days_of(items, "known_date"))


if __name__ == "__main__":
    raise SystemExit(main("item_embeddings", run, __doc__))

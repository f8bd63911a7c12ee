"""item_embeddings (and text_embeddings): vectors of items new or changed tonight, each text encoded once."""

from interest_model.encoding.item_embeddings import item_embeddings
from interest_model.encoding.model_files import encoder_version
from interest_model.encoding.text_embeddings import encode_frame, new_texts
from interest_model.job import Night, main


def run(night: Night) -> None:
    settings = night.settings.encoder
    version = encoder_version(settings)
    items = night.counted("items", night.read("items").where(f"known_date = DATE'{night.run_date}'"))
    fresh = new_texts(items, night.read("text_embeddings"), version)
    night.insert_missing("text_embeddings", encode_frame(fresh, settings))
    night.replace_days("item_embeddings", item_embeddings(items, night.read("text_embeddings"), version))


if __name__ == "__main__":
    raise SystemExit(main("item_embeddings", run, __doc__))

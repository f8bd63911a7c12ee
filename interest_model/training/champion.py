"""The model that a night uses: what table promotions says was in force on its run_date, loaded from the registry."""

from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import DataFrame

from interest_model.encoding.item_embeddings import embeddings_known
from interest_model.encoding.model_files import encoder_version
from interest_model.errors import DataError
from interest_model.history.known import items_known
from interest_model.interest.model import SequenceModel
from interest_model.models import decisions, open_registry
from interest_model.recommend.attributes import KnownItems
from interest_model.recommend.consumption import Catalogue, catalogue, end_of_day, known_items
from interest_model.training.packaged import Packaged
from interest_model.training.promotion import champion_as_of, digest_of

if TYPE_CHECKING:
    from interest_model.config import Encoder
    from interest_model.job import Night


class Champion(NamedTuple):
    """name, version: in the registry; packaged: the model over the catalogue it was trained with."""

    name: str
    version: str
    packaged: Packaged

    @property
    def model_version(self) -> str:
        """As it stands on the rows of a night."""
        return f"{self.name}/{self.version}"

    def over(self, items: KnownItems, encoder: "Encoder") -> SequenceModel:
        """The model over another catalogue, whose text vectors are by this encoder."""
        return self.packaged.with_catalogue(items, encoder_version(encoder))


def load_champion(night: "Night", day: date | None = None) -> Champion | None:
    """The model in force on a day, by default the night's, the same however late it is asked for; None: there is none.
    Loaded once.

    DataError names model and version where the registry cannot give it.
    """
    day = day or night.run_date
    return night.once(f"champion of {day}", lambda: _loaded(night, day))


def tonight(night: "Night", champion: Champion, events: DataFrame) -> tuple[Catalogue, SequenceModel]:
    """Tonight's catalogue and the model over it; events: see consumption.consumed. Made once."""

    def make() -> tuple[Catalogue, SequenceModel]:
        encoder, at_day = night.settings.encoder, end_of_day(night.run_date, night.source.zone)
        items = catalogue(events, at_day, night.settings.ranker.learning_days)
        described = items_known(night.read("items"), night.run_date)
        known = known_items(items, embeddings_known(night, night.run_date), described)
        return items, champion.over(known, encoder)

    return night.once("champion tonight", make)


def _loaded(night: "Night", day: date) -> Champion | None:
    name = night.settings.promotion.model
    held = decisions(night.storage)
    version = champion_as_of(held, name, day)
    if version is None:
        return None
    registry = open_registry(night.storage, night.settings.tracking)
    if registry is None:
        from interest_model.training.registry import in_force_remedy

        folder = night.storage.local_folder("mlflow")
        raise DataError(
            f"model {name} version {version}: there is no model registry at {folder}", in_force_remedy(name)
        )
    return Champion(name, version, registry.load(name, version, digest_of(held, name, version, day)))

"""One training of a night's day, step by step from its split to a decision: what jobs/train.py calls."""

import datetime
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyspark.sql import DataFrame

from interest_model.claim import days_held
from interest_model.encoding.model_files import encoder_version
from interest_model.errors import UsageError
from interest_model.evaluation.splits import Split
from interest_model.models import decisions, newest_issued, open_registry, record
from interest_model.recommend.attributes import KnownItems
from interest_model.recommend.consumption import Catalogue, catalogue, known_items
from interest_model.runs import code_revision
from interest_model.storage import Storage
from interest_model.training import promotion, snapshot
from interest_model.training.contest import contest
from interest_model.training.distributed import train_in_processes
from interest_model.training.fit import Progress
from interest_model.training.item_coding import coding
from interest_model.training.packaged import Packaged
from interest_model.training.promotion import NO_MODEL, Judged, Verdict
from interest_model.training.ranking import best_popularity
from interest_model.training.registry import CHALLENGER, CHAMPION, WAREHOUSE, Registry, Training, challenger_remedy
from interest_model.training.sequence_model import Past, Trained, train, validation_cases

if TYPE_CHECKING:
    from interest_model.job import Night


class Work(NamedTuple):
    """key: the same for the same day, tables and what they hold, settings but the gate's, and code; folder: snapshot
    and checkpoints of this training; items: catalogue before the cut; known: what is known of it; tables: name to Delta
    version; past: what the model may see, of several processes the first one's share."""

    key: str
    folder: Path
    items: Catalogue
    known: KnownItems
    tables: dict[str, int]
    past: Past


def prepare(night: "Night", split: Split, embeddings: DataFrame, described: DataFrame) -> Work:
    """The snapshot of what is known before the split's cut: written once, found again by a training that was killed.

    embeddings, described: one row (item_id, embedding) and one of table items per item, as known on the day.
    """
    _check_owner(night)
    tables = dict(night.storage.versions_read)
    key = _key(night, tables)
    folder = night.storage.local_folder("training") / f"{night.run_date}-{key[:12]}"
    items = catalogue(split.known, split.at_day, night.settings.ranker.learning_days)
    files = folder / "snapshot"
    if not snapshot.exists(files):
        files.mkdir(parents=True, exist_ok=True)
        known = known_items(items, embeddings, described)
        snapshot.write(files, split.known, known, (split.at_day, tables), night.settings.training)
    held = snapshot.load(files)
    own = snapshot.read(held, 0, night.settings.training.shards)
    past = Past(own, held.features, held.at_day, night.source.repeats, night.source.zone)
    # copies of one warehouse that went different ways have the same table ids, and may have the same versions
    content = _digest([key, held.rows_hash, held.items.item_ids.tolist()])
    return Work(content, folder, items, held.items, tables, past)


def _check_owner(night: "Night") -> None:
    """UsageError where another warehouse's trainings fill the registered model: its alias says what that one serves."""
    name, registry = night.settings.promotion.model, _registry(night)
    if registry.owners(name) - {_warehouse(night)}:
        raise UsageError(
            f"promotion.model {name}: trainings of another warehouse, or of an events table that was there before this "
            f"one, have versions under this name in {registry.shown}",
            "set promotion.model to a name of its own; or delete those versions, where their tables are gone",
        )


def decided_before(night: "Night", work: Work) -> bool:
    """True where a decision on this very training stands (see promotion.standing): then only what a kill may have left
    undone is done."""
    settings, registry = night.settings.promotion, _registry(night)
    version = registry.find(settings.model, work.key)
    if version is None:
        return False
    found = registry.load(settings.model, version, remedy=challenger_remedy(settings.model, version))
    judged, held = Judged(version, found.digest), decisions(_as_it_is(night))
    row = promotion.standing(held, settings.model, judged, champion_of(night), settings)
    if row is None:
        return False
    _follow(night, work, row)
    night.reporter.say(f"model {settings.model} version {version} was {row['state']} before: {row['reason']}")
    return True


def fitted(night: "Night", work: Work) -> Trained:
    """The model, on the CPU, from one process or several; goes on from the checkpoints of one that was killed."""
    kind, settings = night.settings.model, night.settings.training
    if settings.shards > 1:
        log = work.past.repeats, work.past.zone
        found = train_in_processes(night.spark, work.folder, kind, settings, log)
    else:
        found = train(work.past, kind, settings, work.folder, _teller(night))
        found.model.to("cpu")
    night.step.counts |= {"epochs": found.epochs, "users validated": found.n_validated, "items": len(work.items[0])}
    return found


def registered(night: "Night", split: Split, work: Work) -> str:
    """The version of this training in the registry, found or made, from now on the challenger.

    Before hours of fitting: UsageError where the champion has seen what it would be judged on, DataError where it
    cannot be loaded.
    """
    name, registry = night.settings.promotion.model, _registry(night)
    version = registry.find(name, work.key)
    if version is None:
        champion = champion_of(night)
        if champion is not None and _held(night, champion).facts["trained_until"] > split.at_day:
            text = f"model {name}: champion {champion} has seen what a training of {night.run_date} would be judged on"
            raise UsageError(text, "train on a later day")
        trained = fitted(night, work)
        version = registry.register(name, packaged(night, work, trained), _training(night, work, trained))
    registry.point(name, CHALLENGER, version)
    return version


def _training(night: "Night", work: Work, trained: Trained) -> Training:
    parameters = {"run_date": night.run_date, "epochs found": trained.epochs, "at_day": work.past.at_day}
    settings = night.settings
    used = {"model": trained.model.settings, "training": settings.training, "promotion": settings.promotion}
    for section, values in used.items():
        parameters |= {f"{section}.{key}": value for key, value in asdict(values).items()}
    tags = {"run_date": str(night.run_date), "source": night.source.name, "code_revision": code_revision()}
    tags[WAREHOUSE] = _warehouse(night)
    courses = {"search": trained.search} | trained.finals
    return Training(work.key, parameters, work.tables, courses, tags)


def packaged(night: "Night", work: Work, trained: Trained) -> Packaged:
    facts = {"trained_until": work.past.at_day, "encoder": _encoder(night), "repeats": work.past.repeats}
    facts["coding"] = coding(work.known.traits)
    return Packaged(trained.model, work.items.item_ids, facts)


def settle(night: "Night", split: Split, work: Work, version: str) -> None:
    """Judges the challenger against the champion and records the verdict.

    Judged again where the champion is another one by then: it was rolled back, or another training was quicker.
    """
    name = night.settings.promotion.model
    while True:
        champion = champion_of(night)
        verdict, digest = judged(night, split, work, version, champion)
        if champion_of(night) == champion:
            break
        night.reporter.say(f"model {name}: another champion since the contest began, judging again")
    start = _first_night(night, decisions(_as_it_is(night)))
    row = promotion.decision(name, Judged(version, digest), verdict, champion, start)
    record(night.storage, row)
    _follow(night, work, row)
    night.reporter.say(f"model {name} version {version} {verdict.state}: {verdict.reason}")


def judged(night: "Night", split: Split, work: Work, version: str, champion: str | None) -> tuple[Verdict, str]:
    """The challenger against the champion, beside decayed popularity, on what came after the split's cut; and the
    digest of the files that were judged."""
    settings, item_ids = night.settings, work.items.item_ids
    name, registry = settings.promotion.model, _registry(night)
    half_lives = settings.ranker.popularity_half_lives_days
    inner, at_day = validation_cases(work.past, settings.training), split.at_day
    challenger = registry.load(name, version, remedy=challenger_remedy(name, version))
    rankers = {"challenger": challenger.model}
    rankers["popularity"] = best_popularity(work.items.counts, inner, len(item_ids), at_day, half_lives)
    rival = NO_MODEL
    if champion is not None:
        held, rival = _held(night, champion), f"champion {champion}"
        if held.facts["trained_until"] > at_day:
            reason = f"{rival} has seen what it would be judged on: train on a later day"
            return Verdict("refused", reason, promotion.gate(settings.promotion)), challenger.digest
        rankers[rival] = held.with_catalogue(work.known, _encoder(night))
    figures = contest(split, item_ids, rankers, settings.ranker.seen_length, night.source.repeats, settings.evaluation)
    return promotion.judge(figures, rival, settings.promotion), challenger.digest


def _held(night: "Night", champion: str) -> Packaged:
    """The champion, with the files that were promoted."""
    name, made = night.settings.promotion.model, decisions(_as_it_is(night))
    digest = promotion.digest_of(made, name, champion, _first_night(night, made))
    return _registry(night).load(name, champion, digest)


def _follow(night: "Night", work: Work, row: dict) -> None:
    """The registry follows a decision: tags of the version, and the alias of what is in force; snapshot and checkpoints
    go."""
    name, registry = row["model"], _registry(night)
    registry.note(name, row["version"], {"decision": row["state"], "reason": row["reason"], **row["figures"]})
    registry.point(name, CHAMPION, promotion.champion_as_of(decisions(_as_it_is(night)), name, datetime.date.max))
    shutil.rmtree(work.folder)


def champion_of(night: "Night") -> str | None:
    """The version in force on the first night that a decision of today may change."""
    made = decisions(_as_it_is(night))
    return promotion.champion_as_of(made, night.settings.promotion.model, _first_night(night, made))


def _registry(night: "Night") -> Registry:
    return open_registry(night.storage, night.settings.tracking, make=True)


def _first_night(night: "Night", made: list[dict]) -> datetime.date:
    """After the nights that are issued and those that run now: each keeps the champion that it began with. made: all
    decisions so far."""
    begun = [newest_issued(_as_it_is(night)), *days_held(night.storage.local_folder("claims"))]
    newest = max((day for day in begun if day is not None), default=None)
    return promotion.first_night(made, night.settings.promotion.model, night.run_date, newest)


def _as_it_is(night: "Night") -> Storage:
    """The tables at this moment: the night's own storage keeps what it read first, and a training takes hours."""
    return Storage(night.spark, night.storage.root)


def _encoder(night: "Night") -> str:
    return encoder_version(night.settings.encoder)


def _warehouse(night: "Night") -> str:
    """What a warehouse is known by in a registry that it may share with others, wherever its files are moved to."""
    return night.storage.table_id("events")


def _key(night: "Night", tables: dict[str, int]) -> str:
    parts = [asdict(getattr(night.settings, name)) for name in ("model", "training", "encoder", "evaluation")]
    read = {name: [version, night.storage.table_id(name)] for name, version in tables.items()}
    return _digest([str(night.run_date), night.source.fingerprint(), code_revision(), read, *parts])


def _digest(content: list) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _teller(night: "Night") -> Callable[[str, Progress], None]:
    def tell(name: str, one: Progress) -> None:
        score = "" if one.score is None else f", validation NDCG@10 {one.score:.4f}"
        text = f"{name} epoch {one.epoch + 1}: loss {one.loss:.4f}{score}, {one.samples_per_second:,.0f} positions/s"
        night.reporter.say(text)

    return tell

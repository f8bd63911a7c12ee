"""One sequence model from a snapshot's sequences: epochs found on an inner slice of the past, then fitted on all of it.

torch and numpy, no Spark.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from interest_model.errors import DataError
from interest_model.interest.item_tower import ItemFeatures
from interest_model.interest.model import Ensemble, InterestModel, SequenceModel, build
from interest_model.model_settings import FitSettings, ModelSettings
from interest_model.training import processes
from interest_model.training.batches import Sequences, TrainingBatches
from interest_model.training.fit import Course, Progress, TrainingData, fit
from interest_model.training.ranking import CUTOFF, Cases, before, cases_after, model_lists, ndcg

_MLP_VALUES = 2**28  # a step keeps 12 bytes for each: 3.2 GB


class Trained(NamedTuple):
    """model: fitted on everything; search: the course that found how many `epochs` it takes, empty where nobody could
    be judged; finals: courses of the fits on everything, by name: "final", and for an ensemble's further members
    "final-2" and so on; n_validated: users judged after each epoch."""

    model: SequenceModel
    search: Course
    finals: dict[str, Course]
    epochs: int
    n_validated: int


class Past(NamedTuple):
    """What is known before at_day (days since 1970-01-01 UTC): sequences, features of the catalogue (its first_days
    never after an item's first event), whether people come back to items, and the log's zone."""

    sequences: Sequences
    features: ItemFeatures
    at_day: float
    repeats: bool
    zone: str = "UTC"


def train(
    past: Past,
    kind: ModelSettings,
    settings: FitSettings,
    folder: Path | None = None,
    report: Callable[[str, Progress], None] | None = None,
) -> Trained:
    """The model of this kind. Same past, settings and machine: same weights, killed and resumed on the way or not.

    Fitted first on the settings' validation_quantile of the events, by time, and the items that were there by then; the
    NDCG of lists made then over the whole catalogue, by what came after, says how many epochs are enough (all of the
    settings' where there is nobody to judge by or nothing to learn before). Then fitted anew on everything for so many:
    what is newest counts most.
    With settings.ensemble above 1 this last fit is made with so many seeds, and the model is their Ensemble.
    folder: checkpoints of all fits, each in a folder of its name. report: called with that name, "search" or one of
    Trained.finals, and the progress. DataError: no event has anything to be learned after it.
    """
    kind = affordable(kind, past.features.n_items, settings)
    cases = validation_cases(past, settings)
    cut = cases.at_day
    n_validated = int(processes.summed(torch.tensor(cases.sequences.histories.n_users)))
    search, epochs = Course(), settings.epochs
    inner = known_before(past, cut)
    if n_validated and n_targets(inner, kind, settings):
        validate = _over(known_at(past.features, cut), inner.features, cases)
        _, search = _fitted("search", inner, validate, kind, settings, (folder, report))
        epochs = search.best_epoch + 1
    model, finals = _finals(past, kind, dataclasses.replace(settings, epochs=epochs), (folder, report))
    return Trained(model, search, finals, epochs, n_validated)


def validation_cases(past: Past, settings: FitSettings) -> Cases:
    """The inner slice: lists made at the settings' validation_quantile of the events, by what came after."""
    days = past.sequences.histories.days
    own = float(np.quantile(days, settings.validation_quantile)) if len(days) else 0.0
    cut = processes.mean(own * len(days), len(days))  # all processes cut at one moment; one of them may have no user
    return cases_after(past.sequences, cut, past.repeats, settings.validation_users, settings.seed)


def n_targets(past: Past, kind: ModelSettings, settings: FitSettings) -> int:
    """Events with something to be learned after them, of all processes."""
    batches = TrainingBatches(past.sequences, kind, settings, past.at_day, past.zone)
    return int(processes.summed(torch.tensor(int(batches.has_target.sum()))))


def affordable(kind: ModelSettings, n_items: int, settings: FitSettings) -> ModelSettings:
    """The same kind, with sampled softmax where the catalogue is too large for a full one: above softmax_items, and
    with head mlp where a batch's scored positions take more than _MLP_VALUES hidden values over all items."""
    scored = 1 if kind.bidirectional else min(settings.positions or kind.max_length, kind.max_length)
    hidden = settings.batch_size * scored * n_items * kind.hidden if kind.head == "mlp" else 0
    if kind.loss == "softmax" and (n_items > settings.softmax_items or hidden > _MLP_VALUES):
        return dataclasses.replace(kind, loss="sampled")
    return kind


def known_before(past: Past, cut: float) -> Past:
    """What was known before the cut: an item of later is none that people left, so it must not be learned from."""
    there, features, known = past.features.first_days < cut, past.features, before(past.sequences, cut)
    items = known_at(features, cut).id_rows[known.histories.items].astype(np.int32)
    parts = [{name: one[there] for name, one in kind.items()} for kind in (features.vectors, features.categories)]
    own = ItemFeatures(int(there.sum()), *parts, first_days=features.first_days[there])
    sequences = known._replace(histories=known.histories._replace(items=items))
    return past._replace(sequences=sequences, features=own, at_day=cut)


def known_at(features: ItemFeatures, day: float) -> ItemFeatures:
    """The same catalogue for a model of what was `known_before` the day: items that came later have no id embedding,
    they are scored by the rest."""
    there = features.first_days < day
    return features._replace(id_rows=np.where(there, np.cumsum(there) - 1, -1))


def _over(whole: ItemFeatures, own: ItemFeatures, cases: Cases) -> Callable[[InterestModel], float]:
    """Validation over the whole catalogue of a model that is trained over its own."""

    def validate(model: InterestModel) -> float:
        model.set_catalogue(whole)
        found = mean_ndcg(model, cases)
        model.set_catalogue(own)
        return found

    return validate


def mean_ndcg(model: SequenceModel, cases: Cases) -> float:
    """Mean NDCG at CUTOFF over the users with something to find, of all processes; 0.0 where there is none."""
    values, _ = ndcg(model_lists(model, cases, CUTOFF), cases, model.tower.n_items)
    return processes.mean(float(values.sum()), len(values))


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _finals(past: Past, kind: ModelSettings, settings: FitSettings, options) -> tuple[SequenceModel, dict[str, Course]]:
    """The model of settings.ensemble fits on everything, and each fit's course by name; options: see _fitted."""
    members, courses = [], {}
    for place in range(settings.ensemble):
        name = f"final-{place + 1}" if place else "final"
        seeded = dataclasses.replace(settings, seed=settings.seed + place)
        model, courses[name] = _fitted(name, past, None, kind, seeded, options)
        members.append(model)
    return Ensemble(members).eval() if len(members) > 1 else members[0], courses


def _fitted(name: str, past: Past, validate, kind, settings, options) -> tuple[InterestModel, Course]:
    """One fit; validate: see TrainingData; options: folder of all checkpoints and report, each or None."""
    folder, report = options
    items, values = past.sequences.histories.items, past.sequences.values
    known = np.zeros(0) if values is None else values[~np.isnan(values)]
    counts = torch.from_numpy(np.bincount(items, minlength=past.features.n_items))
    if not n_targets(past, kind, settings):
        raise DataError("nothing to learn: no event has its targets after it", "a longer log, or training.target=next")
    data = TrainingData(
        TrainingBatches(past.sequences, kind, settings, past.at_day, past.zone),
        validate,
        processes.summed(counts),
        processes.mean(float(known.sum()), len(known)),
    )
    model = build(kind, past.features, settings.seed).to(device())
    told = None if report is None or not processes.is_first() else lambda progress: report(name, progress)
    return model, fit(model, settings, data, None if folder is None else folder / name, told)

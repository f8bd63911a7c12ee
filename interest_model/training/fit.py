"""The training loop, on any iterable of batches: early stopping, checkpoints, progress. torch, no Spark.

Same seed, same batches, same machine: same weights, whether or not training was killed and resumed on the way.
"""

import dataclasses
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from interest_model.interest.dynamics import Batch
from interest_model.interest.model import InterestModel
from interest_model.model_settings import FitSettings
from interest_model.training import losses, processes

_KEPT_CHECKPOINTS = 2


class TrainingData(NamedTuple):
    """batches(epoch): the batches of epoch 0, 1, ..., the same whenever it is asked; validate(model): a score, higher
    is better, None: no early stopping, the last weights win; item_counts (n,): events of each item, for drawing
    negatives; mean_value: mean of the log's values, where predicted ratings start."""

    batches: Callable[[int], Iterable[Batch]]
    validate: Callable[[InterestModel], float] | None = None
    item_counts: Tensor | None = None
    mean_value: float = 0.0


class Progress(NamedTuple):
    """loss: mean over the epoch so far; samples_per_second: scored positions; score: None before the epoch's end."""

    epoch: int
    batches: int
    loss: float
    samples_per_second: float
    score: float | None


@dataclasses.dataclass
class Course:
    """What training has been through: loss and validation score per epoch, and the best weights so far (None: not
    validated)."""

    losses: list[float] = dataclasses.field(default_factory=list)
    scores: list[float] = dataclasses.field(default_factory=list)
    best: dict[str, Tensor] | None = None

    @property
    def best_epoch(self) -> int:
        """The first epoch with the best score."""
        return self.scores.index(max(self.scores))

    def stopped(self, patience: int) -> bool:
        return bool(self.scores) and 0 < patience <= len(self.scores) - 1 - self.best_epoch


def fit(
    model: InterestModel,
    settings: FitSettings,
    data: TrainingData,
    folder: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Course:
    """Train the model in place, on the device it is on; it ends with the best weights by validation score.

    folder: a checkpoint is written there after each epoch, and training goes on from the newest one it finds. Raises
    ValueError where that was made with other settings (`epochs`, `patience` and `ensemble` may differ) or by a model
    with other weights. Several processes (see training.processes) fit one model: each hands in its own users' batches,
    validate agrees on a score, item_counts and mean_value are of all; the first process writes.
    """
    device = model.tower.unknown.device
    optimizer, course = _optimizer(model, settings), Course()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(settings.seed)
        if model.rating is not None:
            model.rating.start_at(data.mean_value)
        if folder is not None and (newest := _newest(folder)):
            course = _resume(newest, model, optimizer, settings)
        while len(course.losses) < settings.epochs and not course.stopped(settings.patience):
            _one_epoch(model, optimizer, settings, data, course, report)
            if folder is not None:
                _write(folder, model, optimizer, settings, course)
    if course.best is not None:
        model.load_state_dict(course.best, strict=False)
    model.eval()
    return course


def _one_epoch(model, optimizer, settings, data, course, report) -> None:
    """Train on the next epoch's batches, validate, and add it to the course."""
    epoch, total, samples, n_batches, begun = len(course.losses), 0.0, 0, 0, time.perf_counter()
    log_q, device = _log_q(model, settings, data), model.tower.unknown.device
    log_drawn = losses.log_drawn_at_all(log_q, settings.negatives).to(device)

    def progress(score: float | None = None) -> None:
        if report is not None:
            seconds = max(time.perf_counter() - begun, 1e-9)
            report(Progress(epoch, n_batches, total / max(samples, 1), samples / seconds, score))

    model.train()
    for n_batches, batch in enumerate(processes.in_step(data.batches(epoch)), start=1):
        loss = _step(model, optimizer, settings, batch and batch.to(device), log_q, log_drawn)
        if batch is not None:
            total, samples = total + loss * len(batch.positions), samples + len(batch.positions)
        if n_batches % settings.report_batches == 0:
            progress()
    course.losses.append(processes.mean(total, samples))
    if data.validate is not None:
        model.eval()
        score = float(data.validate(model))
        course.scores.append(-math.inf if math.isnan(score) else score)  # a model that diverged is never the best
        if course.best_epoch == epoch:
            course.best = {name: one.detach().clone() for name, one in model.named_parameters()}
    progress(course.scores[-1] if course.scores else None)


def _step(model, optimizer, settings, batch, log_q, log_drawn) -> float:
    """One step on a batch, None: this process has none left but others have; its mean loss."""
    device = model.tower.unknown.device
    drawn = losses.draw(log_q, settings.negatives, model.settings.loss == "sampled").to(device)
    optimizer.zero_grad()
    loss = torch.zeros(())
    if batch is not None:
        loss = batch_loss(model, batch, settings, drawn, log_drawn)
        loss.backward()
        if settings.adversarial_epsilon > 0:
            _adversarial(model, settings, lambda: batch_loss(model, batch, settings, drawn, log_drawn).backward())
    processes.average_gradients(model.parameters(), 0 if batch is None else len(batch.positions))
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
    optimizer.step()
    return float(loss.detach())


def batch_loss(model: InterestModel, batch: Batch, settings: FitSettings, drawn: Tensor, log_drawn: Tensor) -> Tensor:
    """The model's own loss on a batch; drawn (c,): negatives shared by the batch; log_drawn (n,): log probability of
    each item to be one of them, read where the loss is "sampled".

    On a GPU, states are computed in bfloat16, scores and losses in float32.
    """
    mixed = settings.mixed_precision and batch.items.device.type == "cuda"
    with torch.autocast(batch.items.device.type, dtype=torch.bfloat16, enabled=mixed):
        users = model(batch).float()
    targets, query = batch.targets, batch.query_days.flatten()[batch.positions]
    if model.settings.loss == "softmax":
        loss = losses.softmax_loss(model.score(users, None, query), targets)
    else:
        own = model.score_pairs(users[targets.rows], targets.items, query[targets.rows])
        shared = losses.hide_hits(model.score(users, drawn, query), drawn, targets, model.tower.n_items)
        if model.settings.loss == "bce":
            loss = losses.bce_loss(own, shared, targets)
        else:
            loss = losses.sampled_softmax_loss(own, shared, (log_drawn[targets.items], log_drawn[drawn]), targets)
    if model.rating is not None:
        predicted = model.predicted_rating(users[targets.rows], targets.items)
        loss = loss + settings.rating_weight * losses.rating_loss(predicted, targets.values)
    return loss


def _adversarial(model: InterestModel, settings: FitSettings, backward: Callable[[], None]) -> None:
    """Add the gradient at id embeddings moved by epsilon along theirs: the fast gradient method (Miyato et al. 2017,
    "Adversarial Training Methods for Semi-Supervised Text Classification", equation 5)."""
    table = model.tower.ids.weight
    norm = table.grad.norm()
    if norm > 0:
        kept = table.detach().clone()
        with torch.no_grad():
            table.add_(table.grad, alpha=settings.adversarial_epsilon / float(norm))
        backward()
        with torch.no_grad():
            table.copy_(kept)


def _optimizer(model: InterestModel, settings: FitSettings) -> torch.optim.Optimizer:
    """AdamW; with weight_decay 0 it is Adam. Biases, norms and single vectors are not decayed."""
    parameters = list(model.parameters())
    groups = [
        {"params": [one for one in parameters if one.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in parameters if one.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def _log_q(model: InterestModel, settings: FitSettings, data: TrainingData) -> Tensor:
    counts = torch.zeros(model.tower.n_items) if data.item_counts is None else data.item_counts
    return losses.log_drawing_probabilities(counts, settings.negatives_power)


def _identity(model: InterestModel, settings: FitSettings) -> dict:
    """What a checkpoint and the training that goes on from it must share."""
    training = dataclasses.asdict(settings)
    for name in ("epochs", "patience", "report_batches", "ensemble"):
        training.pop(name)
    return {"model": dataclasses.asdict(model.settings), "fit": training, "n_items": model.tower.n_items}


def _write(folder: Path, model, optimizer, settings, course: Course) -> None:
    """A checkpoint folder, whole or not at all: written aside, then renamed. Only the newest ones are kept.

    All processes call, the first one writes: with the random state of each, or dropout would go on differently.
    """
    random_state = _random_state(model)
    if not processes.is_first():
        return
    aside = folder / "writing"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    weights = {name: one.detach().contiguous() for name, one in model.named_parameters()}
    save_file(weights, aside / "weights.safetensors")
    if course.best is not None:
        save_file(course.best, aside / "best.safetensors")
    moments = {f"{k}.{name}": one for k, part in optimizer.state_dict()["state"].items() for name, one in part.items()}
    save_file(moments | random_state, aside / "optimizer.safetensors")
    content = {"identity": _identity(model, settings), "losses": course.losses, "scores": course.scores}
    (aside / "course.json").write_text(json.dumps(content, indent=2, sort_keys=True))
    os.replace(aside, folder / f"epoch-{len(course.losses):04d}")
    for old in _checkpoints(folder)[:-_KEPT_CHECKPOINTS]:
        shutil.rmtree(old)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*"))


def _newest(folder: Path) -> Path | None:
    return max(_checkpoints(folder), default=None)


def _resume(checkpoint: Path, model, optimizer, settings) -> Course:
    content = json.loads((checkpoint / "course.json").read_text())
    if content["identity"] != _identity(model, settings):
        raise ValueError(f"{checkpoint}: made with other settings or another catalogue; use another folder")
    weights = load_file(checkpoint / "weights.safetensors")
    if strange := weights.keys() ^ dict(model.named_parameters()).keys():
        raise ValueError(f"{checkpoint}: made by a model with other weights ({', '.join(sorted(strange))})")
    model.load_state_dict(weights, strict=False)  # without the catalogue
    tensors, state = load_file(checkpoint / "optimizer.safetensors"), {}
    own = processes.rank()
    torch.set_rng_state(tensors.pop("random.cpu")[own].clone())  # a view would be read from the first row on
    if (on_gpu := tensors.pop("random.cuda", None)) is not None and model.tower.unknown.is_cuda:
        torch.cuda.set_rng_state(on_gpu[own].clone(), model.tower.unknown.device)
    for name, one in tensors.items():
        number, _, part = name.partition(".")
        state.setdefault(int(number), {})[part] = one
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    best = checkpoint / "best.safetensors"
    return Course(content["losses"], content["scores"], load_file(best) if best.exists() else None)


def _random_state(model: InterestModel) -> dict[str, Tensor]:
    """One row for each process."""
    state = {"random.cpu": processes.stacked(torch.get_rng_state())}
    if model.tower.unknown.is_cuda:
        state["random.cuda"] = processes.stacked(torch.cuda.get_rng_state(model.tower.unknown.device))
    return state

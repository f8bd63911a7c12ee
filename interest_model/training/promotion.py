"""Which version of a model the nights use: the gate, and the record of decisions it leaves. No Spark, no MLflow.

A decision is a row of table promotions. Decisions are only added: what was in force on a night is read from them.
"""

import datetime
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from interest_model.config import Promotion
from interest_model.errors import UsageError
from interest_model.evaluation.bootstrap import paired_interval

NO_MODEL = "no model"  # the rival of a name's first version: an empty list for everybody, NDCG 0


class Figure(NamedTuple):
    """NDCG@10 of one ranker over the judged users: sum of the values, users, and both per bootstrap replicate (r,)."""

    total: float
    n_users: int
    sums: np.ndarray
    weights: np.ndarray

    @property
    def mean(self) -> float:
        return self.total / max(self.n_users, 1)

    def nothing(self) -> "Figure":
        """The figure of empty lists for the same users."""
        return self._replace(total=0.0, sums=np.zeros_like(self.sums))

    def __add__(self, other: "Figure") -> "Figure":  # type: ignore[override]
        return Figure(*(one + more for one, more in zip(self, other, strict=True)))


class Verdict(NamedTuple):
    """state: promoted or refused; figures: what was measured, by name."""

    state: str
    reason: str
    figures: dict[str, float]


def judge(figures: dict[str, Figure], rival: str, settings: Promotion) -> Verdict:
    """Promoted where the challenger's lead over the rival is above min_lead with the whole of its paired interval.

    figures: "challenger", the rival (unless NO_MODEL), and whatever else was measured on the same users.
    """
    challenger = figures["challenger"]
    other = challenger.nothing() if rival == NO_MODEL else figures[rival]
    low, high = paired_interval(challenger[2:], other[2:], settings.level)
    lead = challenger.mean - other.mean
    found = {f"ndcg@10 {name}": one.mean for name, one in figures.items()}
    found |= {"lead": lead, "lead_low": low, "lead_high": high, "users": float(challenger.n_users)} | gate(settings)
    text = f"NDCG@10 {challenger.mean:.4f}, {rival} {other.mean:.4f}: lead {lead:+.4f} ({low:+.4f} to {high:+.4f})"
    text += f" on {challenger.n_users} users"
    if challenger.n_users < settings.min_users:
        return Verdict("refused", f"{text}: fewer than {settings.min_users} users prove nothing", _known(found))
    if not low > settings.min_lead:  # also where it is no number
        return Verdict("refused", f"{text}: not above {settings.min_lead:+.4f} with the whole interval", _known(found))
    return Verdict("promoted", text, _known(found))


def gate(settings: Promotion) -> dict[str, float]:
    """What a verdict is reached under, as figures of it."""
    return {name: float(getattr(settings, name)) for name in ("min_lead", "level", "min_users")}


def _known(figures: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items() if np.isfinite(value)}


class Judged(NamedTuple):
    """A version of a model: its number in the registry and the digest of its files (see Packaged)."""

    version: str
    digest: str


def decision(model: str, judged: Judged, verdict: Verdict, champion: str | None, from_run_date: datetime.date) -> dict:
    """A row of promotions, without its time: the verdict on a version, while `champion` was in force."""
    after = judged.version if verdict.state == "promoted" else champion
    return {
        "model": model, "version": judged.version, "digest": judged.digest, "state": verdict.state, "champion": after,
        "former": champion, "from_run_date": from_run_date, "reason": verdict.reason, "figures": verdict.figures,
    }  # fmt: skip


def standing(
    decisions: Iterable[dict], model: str, judged: Judged, champion: str | None, settings: Promotion
) -> dict | None:
    """The newest decision on a version, where it stands; None: these files are to be judged, or judged again.

    It stands where the version is the champion, was taken out by hand, or was judged under these settings against this
    champion.
    """
    rows = sorted((row for row in decisions if row["model"] == model), key=lambda row: row["decided_ts"])
    own = [row for row in rows if row["version"] == judged.version]
    if judged.digest not in [row["digest"] for row in own]:
        return None
    newest = own[-1]
    same = newest["former"] == champion and gate(settings).items() <= newest["figures"].items()
    return newest if same or champion == judged.version or newest["state"] == "rolled_back" else None


def digest_of(decisions: Iterable[dict], model: str, version: str, run_date: datetime.date) -> str | None:
    """The digest of the files that the night of run_date finds under this number, which a store that began again gives
    once more; None: it was not promoted by then."""
    rows = [row for row in _in_force_on(decisions, model, run_date) if row["state"] == "promoted"]
    return next((row["digest"] for row in reversed(rows) if row["version"] == version), None)


def champion_as_of(decisions: Iterable[dict], model: str, run_date: datetime.date) -> str | None:
    """The version that the night of run_date uses; None: no version was in force yet."""
    rows = _in_force_on(decisions, model, run_date)
    return rows[-1]["champion"] if rows else None


def first_night(
    decisions: Iterable[dict], model: str, run_date: datetime.date, newest_begun: datetime.date | None
) -> datetime.date:
    """The first night that a decision made on run_date's data may change: after run_date, not begun yet, and none from
    before a decision in force, or that one would end what it did not know of."""
    start = max(run_date, newest_begun or run_date) + datetime.timedelta(days=1)
    return max([start, *(row["from_run_date"] for row in _in_force(decisions, model))])


def rolled_back(decisions: Iterable[dict], model: str, from_run_date: datetime.date) -> dict:
    """The row that puts the champion's predecessor back in force, or none where it was the first.

    It holds from from_run_date on, never before the champion itself did. UsageError where there is no champion.
    """
    held: list[str | None] = [None]
    rows = _in_force(decisions, model)
    for row in rows:
        if row["state"] == "promoted":
            held.append(row["version"])
        else:
            held.pop()
    if held[-1] is None:
        raise UsageError(f"model {model}: there is no champion to roll back", "interest-model models lists versions")
    version, before = held[-1], held[-2]
    start = max(from_run_date, rows[-1]["from_run_date"])
    reason = f"version {version} taken out by hand; {f'version {before}' if before else 'no version'} in force again"
    return {
        "model": model, "version": version, "digest": None, "state": "rolled_back", "champion": before,
        "former": version, "from_run_date": start, "reason": reason, "figures": {},
    }  # fmt: skip


def _in_force(decisions: Iterable[dict], model: str) -> list[dict]:
    """Decisions that changed the champion, in the order in which they hold."""
    rows = [row for row in decisions if row["model"] == model and row["state"] != "refused"]
    return sorted(rows, key=lambda row: (row["from_run_date"], row["decided_ts"]))


def _in_force_on(decisions: Iterable[dict], model: str, run_date: datetime.date) -> list[dict]:
    """Those of them that hold on the night of run_date."""
    return [row for row in _in_force(decisions, model) if row["from_run_date"] <= run_date]

"""Offline protocols: which events models may read, what is to be found, and when they are asked. Spark frames.

Leave-one-out reads other users' events of after the left-out one; it is there to compare with papers and says little
about a night. What a product is worth is said by the replay of nights and by the temporal split. There are two replays:
jobs/evaluate_day.py judges the lists that each night issued (protocol "replay" in table evaluation), `night_splits`
lets the ranker of today be refitted at each past night (protocol "refit").
"""

import datetime
from collections.abc import Sequence
from typing import NamedTuple

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from interest_model.errors import DataError, UsageError
from interest_model.evaluation.day import truth_of
from interest_model.history.known import events_known
from interest_model.recommend.consumption import MICROS_PER_DAY, end_of_day

REFIT = "refit"  # the protocol of night_splits in table evaluation; its rows lie under the day that closes the horizon
_DRAWN = ("loo-shuffled",)  # protocols that depend on a seed


class Split(NamedTuple):
    """One protocol's split of a log.

    known: the consumption that models may read. truth: distinct (user_id, item_id) to be found. at_day: when models are
    asked, days since 1970-01-01 UTC, never before the last known event. horizon_days: length of what truth was taken
    from, in days, rounded up; 0 where single events are left out. seed: of the draw, 0 where nothing is drawn. night:
    the run_date whose knowledge this is; None where the cut is no night.
    """

    protocol: str
    seed: int
    known: DataFrame
    truth: DataFrame
    at_day: float
    horizon_days: int
    night: datetime.date | None = None

    def judged_on(self, run_date: datetime.date) -> Column:
        """The run_date of rows of table evaluation (with list_date and horizon_days): the day that closes a night's
        horizon, as jobs/evaluate_day.py has it; else that of the backtest."""
        return F.date_add("list_date", F.col("horizon_days")) if self.night else F.lit(run_date)

    @property
    def folder(self) -> str:
        """Name of the folder that peers work in; the same for every horizon of a night."""
        return f"replay-{self.night}" if self.night else f"{self.protocol}-{self.seed}"

    @property
    def model_day(self) -> datetime.date | None:
        """The day whose promoted model has seen nothing of the truth; None where single events are left out."""
        return self.list_date if self.horizon_days else None

    @property
    def list_date(self) -> datetime.date:
        """The night, or the last whole UTC day before at_day."""
        return self.night or datetime.date(1970, 1, 1) + datetime.timedelta(days=int(self.at_day) - 1)


def is_drawn(protocol: str) -> bool:
    """True where another seed gives another split."""
    return protocol in _DRAWN


def split(consumption: DataFrame, protocol: str, quantile: float, seed: int) -> Split:
    """The split of `consumption` (see consumption.consumed) by one of job_arguments.PROTOCOLS.

    quantile: share of the events before the cut of the temporal protocols. DataError: too few events to split.
    """
    seed = seed if is_drawn(protocol) else 0
    if protocol.startswith("temporal"):
        parts = _temporal(consumption, quantile, last_only=protocol == "temporal-last")
    elif protocol == "loo-shuffled":
        parts = _leave_one_out(consumption, [F.xxhash64("event_id", F.lit(seed))])
    else:
        parts = _leave_one_out(consumption, [F.col("arrival_date"), F.col("file"), F.col("line")])
    return Split(protocol, seed, *parts)


def nights_before(
    run_date: datetime.date, count: int, horizons_days: Sequence[int], last_night: datetime.date | None = None
) -> list[datetime.date]:
    """The `count` nights up to last_night, oldest first; by default up to the latest whose shortest horizon has ended
    by run_date. UsageError: last_night's has not."""
    latest = run_date - datetime.timedelta(days=min(horizons_days))
    last = last_night or latest
    if last > latest:
        raise UsageError(
            f"--last-night {last}: the shortest horizon after it has not ended by run_date {run_date}",
            f"give a night up to {latest}",
        )
    return [last - datetime.timedelta(days=back) for back in reversed(range(count))]


def check_judgeable(consumption: DataFrame, nights: Sequence[datetime.date]) -> None:
    """DataError where none of the nights (oldest first) has anything after it to be judged by: hours would go into
    fits and end in an empty table. A night alone may be empty, such as before a holiday."""
    last = consumption.where("positive").agg(F.max("event_date")).head()[0]
    if last is None or last <= nights[0]:
        raise DataError(
            f"table events: nothing to judge the nights of {nights[0]} to {nights[-1]} by, the last day with positive "
            f"consumption is {last}",
            "give --run-date a day within the log",
        )


def night_splits(
    consumption: DataFrame,
    night: datetime.date,
    run_date: datetime.date,
    horizons_days: Sequence[int],
    zone: str,
) -> list[Split]:
    """One split per horizon that has ended by run_date, shortest first: all of the same night, so one model serves all.

    known: what had arrived by the night. truth: what was taken in the days after it, as known on the horizon's last day
    (as jobs/evaluate_day.py has it), so that a later run_date gives the same rows. consumption: see
    consumption.consumed. DataError: nothing had arrived by the night.
    """
    known, at_day = events_known(consumption, night), end_of_day(night, zone)
    if known.isEmpty():
        raise DataError(f"table events: no consumption had arrived by the night of {night}", "ask for fewer --nights")
    ends = [(days, night + datetime.timedelta(days=days)) for days in sorted(horizons_days)]
    return [
        Split(REFIT, 0, known, truth_of(events_known(consumption, end), night, end), at_day, days, night)
        for days, end in ends
        if end <= run_date
    ]


def _temporal(consumption: DataFrame, quantile: float, last_only: bool) -> tuple:
    """All that happened before one moment is known; everything after it is to be found, or each user's last of it.

    The cut is the instant of the event at the quantile; events of one instant stay together, after the cut.
    """
    cut, end = cut_day(consumption, quantile), consumption.agg(F.max("day")).head()[0]
    after = consumption.where((F.col("day") >= cut) & F.col("positive"))
    if last_only:
        place = F.row_number().over(_latest_first([F.xxhash64("event_id")]))
        after = after.withColumn("place", place).where("place = 1")
    truth = after.select("user_id", "item_id").distinct()
    return consumption.where(F.col("day") < cut), truth, cut, max(1, int(-(-(end - cut) // 1)))


def cut_day(consumption: DataFrame, quantile: float) -> float:
    """Time (days since epoch) of the event at position quantile * n, events ordered by time, from zero.

    Counts by day first, then sorts one day only. DataError: no event lies before that instant.
    """
    by_day = sorted(consumption.groupBy(F.floor("day").alias("d")).count().collect())
    position = int(quantile * sum(row["count"] for row in by_day))
    for row in by_day:
        if position < row["count"]:
            inside = consumption.where(F.floor("day") == row["d"]).select("day").orderBy("day")
            cut = inside.offset(position).limit(1).head()[0]
            break
        position -= row["count"]
    else:
        raise DataError("table events: there is no consumption to split", "run nights first")
    if consumption.where(F.col("day") < cut).isEmpty():
        raise DataError(f"table events: the cut at quantile {quantile} leaves no event before it")
    return cut


def _leave_one_out(consumption: DataFrame, order: list[Column]) -> tuple:
    """Each user's last event is to be found, by users with two or more; `order` parts events of one instant."""
    users = Window.partitionBy("user_id")
    placed = consumption.withColumns(
        {"place": F.row_number().over(_latest_first(order)), "events": F.count("*").over(users)}
    )
    left_out = (F.col("place") == 1) & (F.col("events") > 1)
    known = placed.where(~left_out).drop("place", "events")
    last = consumption.agg(F.max("day")).head()[0]
    if last is None:
        raise DataError("table events: there is no consumption to split", "run nights first")
    truth = placed.where(left_out & F.col("positive")).select("user_id", "item_id").distinct()
    return known, truth, last + 1.0 / MICROS_PER_DAY, 0


def _latest_first(order: list[Column]):
    parts = [F.desc("day"), *[column.desc() for column in order], F.desc("event_id")]
    return Window.partitionBy("user_id").orderBy(*parts)

"""events, events_rejected: the lines that arrived since the last night, mapped, checked and counted."""

from interest_model.history.arrivals import arrived_between, days_of
from interest_model.history.events import accept, read_lines
from interest_model.history.known import events_known
from interest_model.job import Night, main


def run(night: Night) -> None:
    events, refused = night.read("events"), night.read("events_rejected")
    known = events.where("false") if night.after is None else events_known(events, night.after)
    earlier = refused.where(f"run_date < DATE'{night.run_date}'")
    lines = read_lines(night.spark, night.source, night.raw, night.after, night.run_date)
    taken = accept(lines, night.source, night.settings.limits, night.keys, known, earlier)
    night.step.counts |= taken.counts
    tonight = arrived_between(night.after, night.run_date)
    days = days_of(taken.events) | days_of(events.where(tonight))
    others = events.where(~tonight).where(events["event_date"].isin(days))
    night.replace_days("events", others.unionByName(taken.events), days)
    night.replace("events_rejected", taken.rejected, f"run_date = DATE'{night.run_date}' and rule not like 'item%'")
    taken.release()


if __name__ == "__main__":
    raise SystemExit(main("events", run, __doc__))

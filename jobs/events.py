"""events, events_rejected: the lines that arrived since the last night, mapped, checked and counted."""

from interest_model.history.arrivals import arrived_between, days_of
from interest_model.history.events import accept, check_refused, read_lines
from interest_model.history.known import events_known
from interest_model.history.reruns import about_files, check_files, files_read, held_since, taken_earlier
from interest_model.job import Night, main


def run(night: Night) -> None:
    night.note_raw_files()
    after, day = night.after, night.run_date
    events, refused = night.read("events"), night.read("events_rejected")
    known = events.where("false") if after is None else events_known(events, after)
    lines = read_lines(night.spark, night.source, night.raw, after, day)
    held, files = held_since(events, after, day), files_read(night, night.source.inputs)
    check_files("events", held.files, files, day)
    for sentence in about_files(night, files):
        night.reporter.say(sentence)
    taken = accept(
        lines, night.source, night.settings.limits, night.keys, known, refused.where(f"run_date < DATE'{day}'")
    )
    night.step.counts |= taken.counts
    days, others = days_of(taken.events) | held.days, events.where(~arrived_between(after, day))
    if held.later:
        again = taken_earlier(events, taken.events, day)
        days |= days_of(again)
        others = others.join(again, "event_id", "left_anti")
    others = others.where(others["event_date"].isin(days))
    night.replace_days("events", others.unionByName(taken.events), days)
    night.replace("events_rejected", taken.rejected, f"run_date = DATE'{day}' and rule not like 'item%'")
    taken.release()
    check_refused(taken.counts, night.settings.limits.refused_share, after is None, day)


if __name__ == "__main__":
    raise SystemExit(main("events", run, __doc__))

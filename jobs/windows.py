"""windows: the days, weeks and months that tonight's arrivals touch, built again from all events known now."""

from interest_model.history.arrivals import arrived_between, days_of, in_windows, touched_since
from interest_model.history.windows import collect_windows, padded, touched_windows, window_input_days
from interest_model.job import Night, main


def run(night: Night) -> None:
    settings = night.settings.windows
    events, before = night.read("events"), night.read("windows")
    touched = touched_windows(days_of(events.where(arrived_between(night.after, night.run_date))), settings)
    # a rerun may find fewer events than the first run did: the windows they were in are touched too
    rerun = before.where(touched_since(night.after))
    touched |= {tuple(row) for row in rerun.select("window_kind", "window_start").distinct().collect()}
    if touched:
        needed = events.where(events["event_date"].isin(window_input_days(touched)))
        windows = collect_windows(night.counted("events", needed), settings)
        where = in_windows(touched)
        night.replace("windows", windows.where(where), where, expand=lambda rows: padded(rows, settings))


if __name__ == "__main__":
    raise SystemExit(main("windows", run, __doc__))

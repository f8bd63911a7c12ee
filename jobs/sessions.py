"""sessions: those of the days that tonight's arrivals touch, built again from all events known now."""

from pyspark.sql import functions as F

from interest_model.history.arrivals import arrived_between, days_of, touched_since
from interest_model.history.sessions import build_sessions, session_input_days, touched_session_days
from interest_model.job import Night, main


def run(night: Night) -> None:
    settings = night.settings.sessions
    events, before = night.read("events"), night.read("sessions")
    touched = days_of(events.where(arrived_between(night.after, night.run_date)))
    # a rerun may find fewer events than the first run did: the days of the sessions they made are touched too
    rerun = before.where(touched_since(night.after))
    touched |= days_of(rerun, "session_date") | days_of(rerun.select(F.to_date("end_ts").alias("end_date")), "end_date")
    days = touched_session_days(touched, settings)
    needed = events.where(events["event_date"].isin(session_input_days(days, settings)))
    sessions = build_sessions(night.counted("events", needed), settings)
    night.replace_days("sessions", sessions.where(sessions["session_date"].isin(days)), days)


if __name__ == "__main__":
    raise SystemExit(main("sessions", run, __doc__))

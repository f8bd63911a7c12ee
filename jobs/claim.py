"""Takes a day's claim for an owner whose steps run as processes of their own (Airflow). First task of such a night."""

from interest_model.job import Night, main
from interest_model.runs import record_start
from interest_model.settings_names import check_names


def run(night: Night) -> None:
    check_names(night.settings)
    night.claim.take(night.takeover)
    record_start(night.storage, night)


if __name__ == "__main__":
    raise SystemExit(main("claim", run, __doc__))

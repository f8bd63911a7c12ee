"""Closes a night whose steps ran as processes of their own: checked, recorded, logged, the claim given back."""

from interest_model.job import Night, main
from interest_model.nightly import close_night


def run(night: Night) -> None:
    close_night(night)


if __name__ == "__main__":
    raise SystemExit(main("finish", run, __doc__))

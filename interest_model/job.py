"""What all jobs share."""

from interest_model.session import start_session

__all__ = ["start_session"]

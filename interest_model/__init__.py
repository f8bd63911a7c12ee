"""Daily recommendations from what users are interested in and where that is going."""

__version__ = "0.1.0"

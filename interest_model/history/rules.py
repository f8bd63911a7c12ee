"""The rules by which lines are refused. No Spark."""

# what was wrong, by rule, in the order in which rules are tried; the first that fails names the line
REASONS = {
    "broken_encoding": "bytes that do not decode in the mapping's encoding",
    "wrong_columns": "number of columns differs from the header's, or no JSON object",
    "missing_user": "no user id",
    "missing_item": "no item id",
    "long_id": "an id is longer than limits.id_length",
    "bad_time": "event or arrival time fits none of the mapping's formats, or lies before 1970",
    "future_time": "happened on a later day than it arrived",
    "bad_type": "value, latitude, longitude or UTC offset is not a finite number",
    "bad_place": "latitude beyond 90 or longitude beyond 180 degrees, one alone, or UTC offset beyond 18 hours",
    "value_range": "value outside the mapping's value_range",
    "unknown_type": "no event type, or one the mapping gives no weight",
    "user_day_limit": "more events of one user on one day than limits.events_per_user_day",
    "item_broken_encoding": "item file: bytes that do not decode in the mapping's encoding",
    "item_wrong_columns": "item file: number of columns differs from the header's, or no JSON object",
    "item_missing_item": "item file: no item id",
    "item_long_id": "item file: the item id is longer than limits.id_length",
    "item_bad_type": "item file: price, latitude or longitude is not a finite number",
    "item_bad_place": "item file: latitude beyond 90 or longitude beyond 180 degrees, or one alone",
}
DUPLICATE = "duplicate"
"""What a repeat of an event is marked with: no reason to refuse it, it is counted and left out."""

"""One number per column that two engines agree on exactly where they read the same values. Standard library only."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime


def column_checksums(names: Sequence[str], rows: Iterable[Sequence]) -> dict[str, int]:
    """For each column the sum of its values' hashes: the order of the rows does not matter, their number does."""
    sums = dict.fromkeys(names, 0)
    for row in rows:
        for name, value in zip(names, row, strict=True):
            sums[name] += int(hashlib.md5(canonical(value).encode()).hexdigest()[:12], 16)
    return sums


def canonical(value: object) -> str:
    """A value as text, the same for each engine's own Python type of it (a map is a dict or a list of pairs)."""
    if isinstance(value, dict):
        return canonical(sorted(value.items()))
    if isinstance(value, list | tuple):
        pairs = value and all(isinstance(one, tuple) for one in value)
        return "[" + ",".join(canonical(one) for one in (sorted(value) if pairs else value)) + "]"
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat(timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return value.hex()
    return repr(value)

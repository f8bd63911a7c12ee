"""A model's named arrays as rows of a table (ranker_models, forecast_models), and back. No Spark, no pickle."""

import hashlib
from datetime import date

import numpy as np
import pyarrow as pa

CHUNK_BYTES = 64 * 2**20  # well below what one Parquet cell may hold
_SCHEMA = pa.schema(
    [("run_date", pa.date32()), ("model_version", pa.string()), ("name", pa.string()), ("chunk", pa.int32())]
    + [("dtype", pa.string()), ("shape", pa.list_(pa.int64())), ("data", pa.binary())]
)


def version_of(arrays: dict[str, np.ndarray], kind: str) -> str:
    """Name of a model by its kind and content: equal arrays have equal versions."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = _portable(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return f"{kind}-{digest.hexdigest()[:12]}"


def to_rows(arrays: dict[str, np.ndarray], run_date: date, kind: str) -> pa.Table:
    """One row per CHUNK_BYTES of each array; an empty array has one row without bytes."""
    version = version_of(arrays, kind)
    rows = []
    for name in sorted(arrays):
        array = _portable(arrays[name])
        data = array.tobytes()
        for chunk, start in enumerate(range(0, max(len(data), 1), CHUNK_BYTES)):
            piece = data[start : start + CHUNK_BYTES]
            rows.append((run_date, version, name, chunk, array.dtype.str, list(array.shape), piece))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in _SCHEMA]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.table(arrays, schema=_SCHEMA)


def from_rows(rows: pa.Table) -> dict[str, np.ndarray]:
    """The arrays by name. ValueError where bytes are missing."""
    pieces: dict[str, list[dict]] = {}
    for row in rows.to_pylist():
        pieces.setdefault(row["name"], []).append(row)
    arrays = {}
    for name, parts in pieces.items():
        parts.sort(key=lambda row: row["chunk"])
        data = b"".join(part["data"] for part in parts)
        dtype, shape = np.dtype(parts[0]["dtype"]), tuple(parts[0]["shape"])
        if len(data) != dtype.itemsize * int(np.prod(shape)):
            raise ValueError(f"array {name}: {len(data)} bytes, expected shape {shape} of {dtype}")
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    return arrays


def _portable(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, order="C")  # ascontiguousarray would make a scalar a row
    return array.astype(array.dtype.newbyteorder("<"), copy=False)

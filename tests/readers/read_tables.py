"""Run by the Python of .venv-readers: every table of a warehouse by delta-rs, DuckDB and pandas, as JSON.

read_tables.py WAREHOUSE  ->  {table: {engine: {"rows": n, "columns": {column: checksum}}}}
"""

import json
import sys
from pathlib import Path

import duckdb
import pyarrow
from checksums import column_checksums
from deltalake import DeltaTable


def by_delta_rs(table: DeltaTable) -> pyarrow.Table:
    return table.to_pyarrow_table()


def by_duckdb(table: DeltaTable) -> pyarrow.Table:
    dataset = table.to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("rows", dataset)
        return connection.sql("select * from rows").to_arrow_table()


def by_pandas(table: DeltaTable) -> pyarrow.Table:
    # back to Arrow only to compare: in a frame an int column with nulls is a float one
    return pyarrow.Table.from_pandas(table.to_pandas(), schema=by_delta_rs(table).schema, preserve_index=False)


def main(warehouse: Path) -> None:
    found = {}
    engines = {"delta_rs": by_delta_rs, "duckdb": by_duckdb, "pandas": by_pandas}
    for log in sorted(warehouse.glob("*/_delta_log")):
        table = DeltaTable(str(log.parent))
        found[log.parent.name] = {engine: summary(read(table)) for engine, read in engines.items()}
    print(json.dumps(found))


def summary(rows: pyarrow.Table) -> dict:
    columns = [rows.column(name).to_pylist() for name in rows.column_names]
    return {"rows": rows.num_rows, "columns": column_checksums(rows.column_names, zip(*columns, strict=True))}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

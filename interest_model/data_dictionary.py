"""docs/tables.md, made from tables.py and flow.py: `python -m interest_model.data_dictionary > docs/tables.md`."""

from interest_model.flow import STEPS
from interest_model.tables import ALL, Table

_BESIDE = {
    "evaluation": ["`jobs/backtest.py`"],
    "runs": ["every command that runs steps"],
    "promotions": ["`jobs/train.py`", "`interest-model rollback`"],
}
_KINDS = {
    "history": "corrected when late events come",
    "issued": "written once per run_date, never changed by later events",
    "cache": "rows never change once written",
    "record": "what ran",
}


def as_markdown() -> str:
    """The data dictionary: every table with grain, key, partition, writers, and every column."""
    lines = ["# Tables", "", "Made from `interest_model/tables.py`; a test fails where this is out of date.", ""]
    lines += ["| table | kind | one row is |", "| --- | --- | --- |"]
    lines += [f"| [{table.name}](#{table.name}) | {table.kind} | {table.grain} |" for table in ALL]
    lines += ["", *(f"- **{kind}**: {meaning}" for kind, meaning in _KINDS.items())]
    for table in ALL:
        lines += ["", *_section(table)]
    return "\n".join(lines) + "\n"


def _section(table: Table) -> list[str]:
    writers = [f"`jobs/{step.job}.py`" for step in STEPS if table.name in step.writes] + _BESIDE.get(table.name, [])
    lines = [f"## {table.name}", "", f"One row is {table.grain}.", ""]
    key, partition = ", ".join(table.key), ", ".join(table.partition)
    lines += [f"Key: {key}. Partitioned by {partition}. Written by {', '.join(writers)}."]
    lines += [f"Always true: `{rule}`." for rule in table.checks.values()]
    lines += ["", "| column | type | null | meaning |", "| --- | --- | --- | --- |"]
    for column in table.columns:
        comment = column.comment.replace("|", "\\|")
        lines.append(f"| {column.name} | {column.type} | {'yes' if column.nullable else 'no'} | {comment} |")
    return lines


if __name__ == "__main__":
    print(as_markdown(), end="")

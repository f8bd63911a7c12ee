"""Figures as a Markdown page. No Spark."""

from collections.abc import Mapping, Sequence

_READ = """Means over users; `_95` are 95 % bootstrap intervals over users, and `ranker_leads_by` is the paired interval
of the ranker's lead in NDCG: above zero, the ranker is better by more than chance. The second table of each length
gives the mean over rounds (seeds or nights), and in brackets the standard deviation over them where there are
several."""


def table(rows: Sequence[Mapping]) -> str:
    """Rows as a Markdown table: columns in order of first appearance, empty cells where a row has none."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def page(facts: Mapping[str, object], tables: Mapping[int, tuple[Sequence[Mapping], Sequence[Mapping]]]) -> str:
    """A page from what was run (name to value) and, for each length k, rows of report.shown and report.spread_shown."""
    said = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    parts = [f"# Backtest: {facts['protocol']}", said, _READ]
    for k, (pooled, spread) in tables.items():
        parts += [f"## First {k} of the lists", table(pooled), f"Every figure, first {k}:", table(spread)]
    return "\n\n".join(parts) + "\n"

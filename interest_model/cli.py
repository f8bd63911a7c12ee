"""The command `interest-model`."""

import argparse
import sys
from collections.abc import Sequence

from interest_model import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the arguments and runs the command; returns its exit code (see interest_model.errors)."""
    options = _parser().parse_args(argv)
    if options.command == "version":
        print(f"interest-model {__version__}")
        return 0
    # Spark is imported only now: --help and version answer at once
    from interest_model import commands
    from interest_model.job import guarded

    return guarded(lambda: getattr(commands, options.command)(options))


def _parser() -> argparse.ArgumentParser:
    from interest_model.job_arguments import day

    parser = argparse.ArgumentParser(
        prog="interest-model", description="Daily recommendations from raw logs, in Delta tables."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_night_commands(subparsers)
    _add_reading_commands(subparsers)
    sample = subparsers.add_parser("sample", help="write a synthetic log with known truth")
    sample.add_argument("--out", required=True, help="folder to write into")
    sample.add_argument("--preset", default="shop", help="shop | news | video | music | social | travel | games")
    sample.add_argument("--users", type=int, default=400)
    sample.add_argument("--days", type=int, default=28)
    sample.add_argument("--seed", type=int, default=1)
    sample.add_argument("--first-day", type=day, default="2026-01-01", help="first day of the log (YYYY-MM-DD)")
    subparsers.add_parser("version", help="print the version")
    return parser


def _add_night_commands(subparsers) -> None:
    from interest_model.job_arguments import add_night_arguments, day

    texts = {
        "run": "run one night, or each night of a range, and show the first recommendations",
        "replay": "run nights one after another in one session and print the metrics of each",
        "backfill": "run the nights of a range that are not done yet; go on after a failure",
    }
    for name, text in texts.items():
        command = subparsers.add_parser(name, help=text)
        add_night_arguments(command)
        command.add_argument("--to", type=day, default=None, help="last day of the range (default: --run-date)")


def _add_reading_commands(subparsers) -> None:
    from interest_model.job_arguments import day

    sql = subparsers.add_parser("sql", help="run one SQL query over the tables")
    sql.add_argument("query")
    sql.add_argument("--rows", type=int, default=50, help="rows printed at most")
    show = subparsers.add_parser("show", help="one user: history, recommendations, reasons")
    show.add_argument("--user", required=True, help="the log's user id (needs the key), or a pseudonym")
    show.add_argument("--run-date", type=day, default=None, help="default: the newest night")
    show.add_argument("--rows", type=int, default=10)
    export = subparsers.add_parser("export", help="a day's lists for the serving side")
    export.add_argument("--run-date", type=day, required=True)
    export.add_argument("--out", required=True, help="folder (parquet) or file (csv) to write; must not exist")
    export.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    export.add_argument(
        "--users",
        default=None,
        help="file of plain user ids, one a line: only their rows, with these ids (needs the key)",
    )
    rejected = subparsers.add_parser("rejected", help="the lines that a night refused: rule, file, line, raw text")
    rejected.add_argument("--run-date", type=day, required=True)
    rejected.add_argument("--rows", type=int, default=50, help="lines printed at most")
    tables = subparsers.add_parser("tables", help="the tables: name, path, version, rows")
    tables.add_argument("--json", action="store_true")
    metrics = subparsers.add_parser("metrics", help="figures of many nights together, with intervals over users")
    metrics.add_argument("--run-date", type=day, required=True, help="first judging day")
    metrics.add_argument("--to", type=day, default=None, help="last judging day (default: --run-date)")
    metrics.add_argument(
        "--protocol",
        default="replay",
        help="replay (issued lists), refit (jobs/backtest.py --protocol replay), or another of jobs/backtest.py",
    )
    metrics.add_argument("--segment", default="all")
    metrics.add_argument("--k", type=int, default=10)
    models = subparsers.add_parser("models", help="trained models: versions, aliases, decisions, figures")
    models.add_argument("--model", default="", help="name in the registry (default: all)")
    rollback = subparsers.add_parser("rollback", help="put a model's former champion back, from the next night on")
    rollback.add_argument("--model", required=True, help="name in the registry")
    for command in (models, rollback):
        command.add_argument("--config", action="append", default=[], help="YAML file that overrides settings")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting")
    for command in (sql, show, export, rejected, tables, metrics, models, rollback):
        command.add_argument("--warehouse", required=True, help="folder of the Delta tables")
    compare = subparsers.add_parser("compare", help="compare two warehouses row by row; exit code 7 where they differ")
    compare.add_argument("left")
    compare.add_argument("right")
    compare.add_argument("--tables", default="", help="comma-separated names (default: all but runs, promotions)")
    compare.add_argument("--from", dest="start", type=day, default=None, help="issued tables from this run_date on")
    compare.add_argument("--late", action="store_true", help="leave out when rows arrived: one side got them late")


if __name__ == "__main__":
    sys.exit(main())

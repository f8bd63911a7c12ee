"""Command-line arguments that the jobs and the console command share. Standard library only."""

import argparse
from datetime import date
from pathlib import Path

from interest_model.errors import UsageError


def day(text: str) -> date:
    """A day of the form YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no day of the form YYYY-MM-DD") from error


def add_night_arguments(parser: argparse.ArgumentParser) -> None:
    """What says which day of which log goes into which tables, with which settings."""
    parser.add_argument("--run-date", type=day, required=True, help="day of the log (YYYY-MM-DD) that the run closes")
    parser.add_argument("--source", required=True, help="mapping of the log: a YAML file, or a name in conf/sources")
    parser.add_argument("--raw", required=True, help="folder of the raw log files")
    parser.add_argument("--warehouse", required=True, help="folder of the Delta tables")
    parser.add_argument("--config", action="append", default=[], help="YAML file that overrides settings; may repeat")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may repeat")
    parser.add_argument("--owner", default="", help="who holds the day's claim (default: this host and process)")
    parser.add_argument("--takeover", action="store_true", help="replace the claim of a run that has died")
    parser.add_argument("--dry-run", action="store_true", help="say what would be read and written; write nothing")


PROTOCOLS = ("replay", "temporal", "temporal-last", "loo-shuffled", "loo-file")  # see evaluation/splits.py


def positive(text: str) -> int:
    """A whole number from one."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 1")
    return int(text)


def add_backtest_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of a night, and which offline protocol is judged."""
    add_night_arguments(parser)
    parser.add_argument("--protocol", choices=PROTOCOLS, required=True)
    parser.add_argument("--nights", type=positive, help="of replay: the latest nights that have been judged (7)")
    parser.add_argument(
        "--last-night",
        type=day,
        help="of replay: the last one (default: the latest whose shortest horizon has ended)",
    )
    parser.add_argument("--seeds", type=int, nargs="+", help="of the draws of loo-shuffled (1 2 3)")
    parser.add_argument(
        "--split", type=Path, help="folder to write what benchmarks/peers reads into; nothing is judged"
    )
    parser.add_argument("--peers", type=Path, help="that folder, with the lists that peers put there: judged too")
    parser.add_argument("--markdown", type=Path, help="file for the figures as Markdown tables")


def checked_backtest(given: argparse.Namespace) -> argparse.Namespace:
    """The arguments with --nights and --seeds filled in; UsageError where something is given that the protocol, or
    --split, ignores."""
    kinds = {"--nights": "replay", "--last-night": "replay", "--seeds": "loo-shuffled"}
    for name, protocol in kinds.items():
        if getattr(given, name[2:].replace("-", "_")) is not None and given.protocol != protocol:
            raise UsageError(f"{name}: means nothing to --protocol {given.protocol}", f"it belongs to {protocol}")
    if given.split and (given.peers or given.markdown):
        raise UsageError("--split: nothing is judged, so --peers and --markdown mean nothing", "run once for each")
    given.nights, given.seeds = given.nights or 7, given.seeds or [1, 2, 3]
    return given


def write_text(file: Path | None, text: str) -> None:
    """The text into a file that an argument names, with the folders above it; nothing where it names none."""
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

"""What a person or a log collector sees of a run: one line per step."""

import json
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import TextIO


@dataclass
class StepRecord:
    """One step of a run: rows read and written by table, other counts, wall seconds; inputs, outputs: versions of the
    tables it read and wrote."""

    run_date: date
    job: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    read: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    state: str = "running"
    message: str | None = None

    def rows(self) -> dict[str, int]:
        """All counts under one name each, as kept in `runs`."""
        named = {f"read {name}": count for name, count in self.read.items()}
        return named | {f"written {name}": count for name, count in self.written.items()} | self.counts


class Reporter:
    """Prints steps: for people on a terminal, one JSON object per line elsewhere."""

    def __init__(self, stream: TextIO | None = None, as_json: bool | None = None):
        self.stream = stream or sys.stdout
        self.as_json = not self.stream.isatty() if as_json is None else as_json

    def started(self, step: StepRecord) -> None:
        if not self.as_json:
            print(f"  {step.run_date}  {step.job:<26}...", end="\r", flush=True, file=self.stream)

    def finished(self, step: StepRecord) -> None:
        if self.as_json:
            print(json.dumps(asdict(step), default=str), flush=True, file=self.stream)
            return
        parts = [f"read {_counted(step.read)}", f"wrote {_counted(step.written)}", _counted(step.counts)]
        text = "; ".join(part for part in parts if not part.endswith(" ") and part)
        print(f"  {step.run_date}  {step.job:<26}{step.seconds:6.1f} s  {text}", flush=True, file=self.stream)
        if step.message:
            print(f"    {step.message}", flush=True, file=self.stream)

    def say(self, text: str, **fields: object) -> None:
        """A line that belongs to no step."""
        line = json.dumps({"message": text, **fields}, default=str) if self.as_json else text
        print(line, flush=True, file=self.stream)


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())

"""items: what item files and tonight's events say of items, where that is new."""

from pyspark.sql import DataFrame

from interest_model.history.arrivals import arrived_between
from interest_model.history.events import not_refused_before, rejected_rows
from interest_model.history.items import changed_items, read_described_items, read_item_files
from interest_model.history.reruns import check_files, files_read, of_nights_until
from interest_model.job import Night, main


def run(night: Night) -> None:
    given = (night.spark, night.source, night.settings.limits, night.raw, night.after, night.run_date)
    items = night.read("items")
    _check_files(night, items)
    files, described = read_item_files(*given), read_described_items(*given)
    changed = changed_items(files and files.described, described, items, night.run_date)
    night.replace_days("items", changed)
    if files is not None:
        night.step.read["item lines"] = files.read
        before, tonight = night.read("events_rejected"), f"run_date = DATE'{night.run_date}' and rule not like 'item%'"
        new = not_refused_before(files.refused, before.where(f"run_date < DATE'{night.run_date}'"))
        new = new.join(before.where(tonight).select("file", "line"), ["file", "line"], "left_anti")  # one row a line
        refused = rejected_rows(new, night.run_date, night.keys.raw)
        night.replace("events_rejected", refused, f"run_date = DATE'{night.run_date}' and rule like 'item%'")


def _check_files(night: Night, items: DataFrame) -> None:
    own = items.where(arrived_between(night.after, night.run_date, "known_date"))
    readings = [*night.source.inputs, *night.source.item_files]
    held = {row["file"] for row in own.select("file").distinct().collect()}
    held -= of_nights_until(night.after, readings, held)
    if held:  # the night is run again
        check_files("items", held, files_read(night, readings), night.run_date)


if __name__ == "__main__":
    raise SystemExit(main("items", run, __doc__))

"""items: what item files and tonight's events say of items, where that is new."""

from interest_model.history.events import not_refused_before, rejected_rows
from interest_model.history.items import changed_items, read_described_items, read_item_files
from interest_model.job import Night, main


def run(night: Night) -> None:
    given = (night.spark, night.source, night.settings.limits, night.raw, night.after, night.run_date)
    files, described = read_item_files(*given), read_described_items(*given)
    changed = changed_items(files and files.described, described, night.read("items"), night.run_date)
    night.replace_days("items", changed)
    if files is not None:
        night.step.read["item lines"] = files.read
        earlier = night.read("events_rejected").where(f"run_date < DATE'{night.run_date}'")
        new = not_refused_before(files.refused, earlier)
        refused = rejected_rows(new, night.run_date, night.keys.raw)
        night.replace("events_rejected", refused, f"run_date = DATE'{night.run_date}' and rule like 'item%'")


if __name__ == "__main__":
    raise SystemExit(main("items", run, __doc__))

"""docs/tables.md says what tables.py says."""

from pathlib import Path

from interest_model.data_dictionary import as_markdown
from interest_model.flow import STEPS
from interest_model.tables import ALL, BY_NAME


def test_the_data_dictionary_is_up_to_date():
    written = (Path(__file__).parent.parent / "docs" / "tables.md").read_text()
    assert written == as_markdown(), "run `make docs`"


def test_keys_and_partitions_are_columns_that_are_never_null():
    for table in ALL:
        for name in (*table.key, *table.partition):
            assert not table.column(name).nullable, f"{table.name}.{name}"


def test_every_table_of_the_flow_has_a_contract_and_every_written_table_one_writer_at_least():
    named = {name for step in STEPS for name in (*step.reads, *step.writes)} - {"raw"}
    assert named <= set(BY_NAME)
    assert {name for step in STEPS for name in step.writes} == set(BY_NAME) - {"runs", "promotions"}


def test_a_step_reads_only_what_an_earlier_step_an_earlier_night_or_a_training_wrote():
    for position, step in enumerate(STEPS):
        before = {name for earlier in STEPS[:position] for name in earlier.writes}
        own = set(step.writes)
        yesterday = {"ranker_models", "daily_recommendations"} if step.job == "evaluate_day" else set()
        assert set(step.reads) - {"raw", "promotions"} <= before | own | yesterday, step.job

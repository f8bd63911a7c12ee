"""Settings come from files in order, then --set; every mistake names file and key."""

import dataclasses

import pytest
import yaml

from interest_model.config import Settings, conf_dir, load_settings
from interest_model.errors import ConfigError


def write(path, content):
    path.write_text(yaml.safe_dump(content))
    return path


def test_later_files_and_overrides_win(tmp_path):
    file = write(tmp_path / "mine.yaml", {"sessions": {"gap_minutes": 45}})
    assert load_settings([file]).sessions.gap_minutes == 45
    assert load_settings([file], ["sessions.gap_minutes=5"]).sessions.gap_minutes == 5
    assert load_settings([file]).sessions.max_hours == load_settings().sessions.max_hours


@pytest.mark.parametrize(
    "content, expected",
    [
        ({"sesions": {"gap_minutes": 45}}, "unknown key 'sesions'"),
        ({"sessions": {"gap": 45}}, "unknown key 'sessions.gap'"),
        ({"sessions": {"gap_minutes": "long"}}, "'sessions.gap_minutes' must be int, found 'long'"),
        ({"sessions": 3}, "'sessions' must hold keys and values"),
        ({"windows": {"kinds": "day"}}, "'windows.kinds' must be a list"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path, content, expected):
    file = write(tmp_path / "mine.yaml", content)
    with pytest.raises(ConfigError) as refused:
        load_settings([file])
    assert expected in str(refused.value) and str(file) in str(refused.value)


def test_a_wrong_override_is_named_as_it_was_typed():
    with pytest.raises(ConfigError, match=r"--set ranker\.sed=3: unknown key 'ranker\.sed'"):
        load_settings(overrides=["ranker.sed=3"])
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        load_settings(overrides=["ranker"])


@pytest.mark.parametrize(
    "override, expected",
    [
        ("ranker.boosting_share=1.5", "boosting_share must be from 0"),
        ("ranker.boosting_feature_share=0", "boosting_feature_share must be above 0"),
        ("ranker.boosting_misses=0.5", "boosting_misses must be 1 or more"),
        ("ranker.lesson_days=0", "lesson_days must be 1 or more"),
        ("behaviour.window_kind=weekly", "'behaviour.window_kind' is none of windows.kinds"),
        ("windows.kinds=[day]", "'behaviour.window_kind' is none of windows.kinds"),
    ],
)
def test_a_number_out_of_range_is_refused(override, expected):
    with pytest.raises(ConfigError, match=expected):
        load_settings(overrides=[override])


def test_a_file_that_is_no_yaml_or_missing_is_named(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    for file in (broken, tmp_path / "absent.yaml"):
        with pytest.raises(ConfigError, match=file.name):
            load_settings([file])


def test_base_yaml_explains_every_setting():
    text = (conf_dir() / "base.yaml").read_text()
    for section in dataclasses.fields(Settings):
        for setting in dataclasses.fields(section.type):
            assert f"\n  {setting.name}:" in text, f"{section.name}.{setting.name}"


def test_the_fingerprint_follows_what_changes_a_table_and_nothing_else():
    base = load_settings().fingerprint()
    assert load_settings(overrides=["sessions.gap_minutes=31"]).fingerprint() != base
    assert load_settings(overrides=["runtime.master=local[1]", "tracking.enabled=false"]).fingerprint() == base
    assert load_settings(overrides=["model.layers=3", "training.epochs=3"]).fingerprint() == base


def test_the_fingerprint_follows_what_the_rules_of_topics_say_not_where_they_lie(tmp_path):
    def fingerprint(file, text: str) -> str:
        file.write_text(text)
        return load_settings(overrides=[f"topics.rules={file}"]).fingerprint()

    first = fingerprint(tmp_path / "rules.yaml", "- pin: films")
    assert fingerprint(tmp_path / "moved.yaml", "- pin: films") == first
    assert fingerprint(tmp_path / "rules.yaml", "- pin: books") != first


@pytest.mark.parametrize("name", ["shop", "news"])
def test_the_worked_models_are_layers_of_the_settings(name):
    file = conf_dir() / "models" / f"{name}.yaml"
    assert load_settings([file]).model != load_settings().model


def test_the_worked_cases_say_what_they_are():
    shop, news = (load_settings([conf_dir() / "models" / f"{name}.yaml"]) for name in ("shop", "news"))
    model = shop.model
    assert (model.encoder, model.dynamic, model.head, model.loss) == ("lstm", "rnn", "mlp", "bce")
    assert (model.embedding, model.hidden, model.layers, model.bidirectional, model.dropout) == (128, 256, 2, True, 0.5)
    assert (shop.training.learning_rate, shop.training.batch_size, shop.training.epochs) == (1e-4, 32, 10)
    model = news.model
    assert (model.encoder, model.dynamic, model.head, model.max_length) == ("transformer",) * 2 + ("attention", 512)
    assert news.training.history_length >= 512

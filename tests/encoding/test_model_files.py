"""Which files a model is, and the version made of them."""

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from interest_model.encoding import model_files
from interest_model.encoding.model_files import encoder_version, model_folder, model_sha256, weight_files
from interest_model.errors import SetupError


def test_version_names_model_pooling_and_weights(minilm):
    assert encoder_version(minilm) == "minilm-mean-99d882c3"


@pytest.mark.parametrize(
    "change, ending",
    [
        ({"precision": "float16"}, "-float16"),
        ({"max_tokens": 256}, "-t256"),
        ({"prefix": "query: "}, "-p" + hashlib.sha256(b"query: ").hexdigest()[:8]),
        ({"batch_tokens": 1, "window_texts": 1, "gpu_per_task": 1.0}, ""),  # change how fast, not what
    ],
)
def test_version_holds_what_changes_vectors_and_nothing_else(minilm, change, ending):
    assert encoder_version(dataclasses.replace(minilm, **change)) == "minilm-mean-99d882c3" + ending


def test_other_weights_make_another_version(tiny_bert, tmp_path):
    copy = tmp_path / Path(tiny_bert.model).name
    shutil.copytree(tiny_bert.model, copy)
    there = dataclasses.replace(tiny_bert, model=str(copy))
    assert encoder_version(there) == encoder_version(tiny_bert)
    with open(copy / "model.safetensors", "r+b") as file:
        file.seek(-4, 2)
        file.write(b"\x00\x00\x80\x3f")
    assert encoder_version(there) != encoder_version(tiny_bert)


def test_another_tokenizer_makes_another_version(tiny_bert, tmp_path):
    copy = tmp_path / Path(tiny_bert.model).name
    shutil.copytree(tiny_bert.model, copy)
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"do_lower_case": False}))
    assert encoder_version(dataclasses.replace(tiny_bert, model=str(copy))) != encoder_version(tiny_bert)


def test_hash_of_several_files_is_over_all_of_them(tmp_path):
    for name in ("model-1.safetensors", "model-2.safetensors"):
        (tmp_path / name).write_bytes(name.encode())
    hashes = [hashlib.sha256(f"model-{i}.safetensors".encode()).hexdigest() for i in (1, 2)]
    assert model_sha256(str(tmp_path)) == hashlib.sha256("".join(hashes).encode()).hexdigest()


def test_safetensors_come_before_bin_and_other_pickles_never(tmp_path):
    (tmp_path / "model.pkl").touch()
    with pytest.raises(SetupError, match="no weights"):
        weight_files(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    assert [path.name for path in weight_files(tmp_path)] == ["pytorch_model.bin"]
    (tmp_path / "model.safetensors").touch()
    assert [path.name for path in weight_files(tmp_path)] == ["model.safetensors"]


def test_embedded_weights_that_are_not_the_published_are_refused(monkeypatch, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    monkeypatch.setattr(model_files, "model_folder", lambda model: tmp_path)
    with pytest.raises(SetupError, match="not those published"):
        model_sha256("minilm")


def test_a_model_that_is_nowhere_names_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match="hf download no-one/no-such-model"):
        model_folder("no-one/no-such-model")

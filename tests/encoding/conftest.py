"""Tiny models with random weights, made on the spot: no network, no Spark."""

import dataclasses
from pathlib import Path

import pytest

from interest_model.config import Encoder

WORDS = "red green blue lamp chair table jazz rock opera film war love space dog cat the of and a x".split()
POISON = "plutonium"  # the tokenizers know this word, the models do not: a text with it makes them raise


@pytest.fixture(scope="session")
def minilm() -> Encoder:
    """Settings of the embedded encoder, with small windows."""
    return Encoder("minilm", "mean", "", 128, 1024, 64, "float32", 0.0)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory, minilm) -> Encoder:
    """Settings of a two-layer BERT of width 32."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    size = _save_tokenizer(folder, ("[PAD]", "[UNK]", "[CLS]", "[SEP]"), template="[CLS] $A [SEP]")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=size, **sizes)
    _save_model(BertModel, config, folder)
    return dataclasses.replace(minilm, model=str(folder))


@pytest.fixture(scope="session")
def tiny_gpt(tmp_path_factory, minilm) -> Encoder:
    """Settings of a two-layer GPT-2 of width 32, last-token pooling; its tokenizer has no padding token."""
    from transformers import GPT2Config, GPT2Model

    folder = tmp_path_factory.mktemp("tiny-gpt")
    size = _save_tokenizer(folder, ("<|endoftext|>",), template=None)
    config = GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    _save_model(GPT2Model, config, folder)
    return dataclasses.replace(minilm, model=str(folder), pooling="last")


def _save_tokenizer(folder: Path, special: tuple[str, ...], template: str | None) -> int:
    """Writes a word tokenizer; returns how many words the model is to know: all but the last, the poison."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = {"[PAD]": "pad_token", "[UNK]": "unk_token", "[CLS]": "cls_token", "[SEP]": "sep_token"}
    names["<|endoftext|>"] = "eos_token"
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS, POISON])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]" if "[UNK]" in special else WORDS[-1]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if template:
        ends = [(one, vocabulary[one]) for one in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=ends)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{names[one]: one for one in special})
    wrapped.save_pretrained(folder)
    return len(vocabulary) - 1


def _save_model(kind: type, config, folder: Path) -> None:
    import torch

    torch.manual_seed(5)
    config.initializer_range = 0.5  # wide enough that the vectors of two texts differ plainly
    kind(config).save_pretrained(folder)

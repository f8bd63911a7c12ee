"""Vectors, batches, pooling, failures: all without Spark, on the CPU."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

from interest_model.encoding.model_files import model_folder
from interest_model.encoding.text_encoder import TextEncoder, cut_batches, encoder_for

TEXTS = ["red lamp", "a green chair and a blue table", "jazz", "the opera of the space dog and war cat", "film love"]


@given(st.lists(st.integers(1, 60), max_size=80), st.integers(1, 200))
def test_batches_hold_each_text_once_and_keep_the_budget(lengths, budget):
    batches = list(cut_batches(np.array(lengths, dtype=np.int64), budget))
    assert sorted(int(i) for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or len(batch) * longest <= budget


def test_batches_of_a_hand_worked_case():
    # longest first: 9 alone (2 * 9 > 12), then 4 4 4 fill 12 exactly, then 1 1
    batches = [batch.tolist() for batch in cut_batches(np.array([4, 1, 9, 4, 1, 4]), 12)]
    assert batches == [[2], [0, 3, 5], [1, 4]]


def test_minilm_equals_plain_transformers_with_mean_pooling(minilm):
    texts = ["Toy Story (1995) Animation", "WHITE HANGING HEART T-LIGHT HOLDER", "ICE - CRUSHED/CUBED " * 40]
    tokenizer, model = (kind.from_pretrained(model_folder("minilm")) for kind in (AutoTokenizer, AutoModel))
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=128, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(2)
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    np.testing.assert_allclose(TextEncoder(minilm).encode(texts).vectors, expected, atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 16, 10_000])
@pytest.mark.parametrize("window_texts", [2, 100])
def test_same_vectors_one_by_one_and_in_any_batches(tiny_bert, batch_tokens, window_texts):
    alone = TextEncoder(tiny_bert)
    expected = np.stack([alone.encode([text]).vectors[0] for text in TEXTS])
    changed = dataclasses.replace(tiny_bert, batch_tokens=batch_tokens, window_texts=window_texts)
    encoded = TextEncoder(changed).encode(TEXTS)
    assert encoded.vectors.dtype == np.float32 and encoded.valid.all()
    np.testing.assert_allclose(encoded.vectors, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-6)


def test_decoder_takes_the_last_real_token_of_each_text(tiny_gpt):
    encoder = TextEncoder(tiny_gpt)
    assert encoder._tokenizer.pad_token_id is None
    model, tokenizer = AutoModel.from_pretrained(tiny_gpt.model), AutoTokenizer.from_pretrained(tiny_gpt.model)
    vectors = encoder.encode(TEXTS).vectors
    for text, vector in zip(TEXTS, vectors, strict=True):
        with torch.no_grad():
            last = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1]
        np.testing.assert_allclose(vector, (last / last.norm()).numpy(), atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
def test_poolings_by_hand(tiny_bert, pooling):
    model, tokenizer = AutoModel.from_pretrained(tiny_bert.model), AutoTokenizer.from_pretrained(tiny_bert.model)
    with torch.no_grad():
        hidden = model(**tokenizer("red lamp", return_tensors="pt")).last_hidden_state[0]
    expected = {"cls": hidden[0], "mean": hidden.mean(0), "last": hidden[-1]}[pooling]
    encoder = TextEncoder(dataclasses.replace(tiny_bert, pooling=pooling))
    vector = encoder.encode(["red lamp", TEXTS[3]]).vectors[0]
    np.testing.assert_allclose(vector, (expected / expected.norm()).numpy(), atol=1e-5)


def test_prefix_goes_before_each_text_and_max_tokens_cuts(tiny_bert):
    plain = TextEncoder(tiny_bert)
    prefixed = TextEncoder(dataclasses.replace(tiny_bert, prefix="film "))
    np.testing.assert_allclose(prefixed.encode(["war"]).vectors, plain.encode(["film war"]).vectors, atol=1e-6)
    short = TextEncoder(dataclasses.replace(tiny_bert, max_tokens=4))  # two words between [CLS] and [SEP]
    cut = short.encode(["red lamp dog cat"]).vectors
    np.testing.assert_allclose(cut, plain.encode(["red lamp"]).vectors, atol=1e-6)
    assert len({plain.version, prefixed.version, short.version}) == 3


def test_null_and_blank_texts_have_no_vector_and_no_error(tiny_bert):
    encoded = TextEncoder(tiny_bert).encode([None, "", "  \t", "red"])
    assert encoded.valid.tolist() == [False, False, False, True]
    assert encoded.errors == [None] * 4
    assert not encoded.vectors[:3].any()


def test_nothing_to_encode(tiny_bert):
    assert TextEncoder(tiny_bert).encode([]).vectors.shape == (0, 32)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(codec=None), max_size=30), max_size=12))
def test_any_text_at_all_leaves_the_others_as_they_were(tiny_bert, texts):
    encoder = encoder_for(tiny_bert)
    encoded = encoder.encode([*texts, "red lamp"])
    assert encoded.valid[-1]
    np.testing.assert_allclose(encoded.vectors[-1], encoder.encode(["red lamp"]).vectors[0], atol=1e-5)
    for valid, error, text in zip(encoded.valid, encoded.errors, [*texts, "red lamp"], strict=True):
        assert valid + (error is not None) + (not text.strip()) == 1


class _Failing(TextEncoder):
    """Raises `error` where `fails(tokens of the batch)`; counts the batches it was given."""

    def __init__(self, settings, error, fails):
        super().__init__(settings)
        self.error, self.fails, self.sizes = error, fails, []

    def _forward(self, tokens):
        self.sizes.append(sum(len(ids) for ids in tokens))
        if self.fails(tokens):
            raise self.error
        return super()._forward(tokens)


def test_a_text_that_makes_the_model_raise_costs_its_own_row_only(tiny_bert):
    encoder = TextEncoder(tiny_bert)
    encoded = encoder.encode([*TEXTS, "a lamp of plutonium", *TEXTS])
    assert encoded.valid.tolist() == [True] * 5 + [False] + [True] * 5
    assert encoded.errors == [None] * 5 + ["IndexError: index out of range in self"] + [None] * 5
    expected = encoder.encode(TEXTS).vectors
    np.testing.assert_allclose(encoded.vectors[encoded.valid], np.concatenate([expected, expected]), atol=1e-5)
    assert not encoded.vectors[5].any()


def test_out_of_memory_halves_the_budget_and_changes_no_vector(tiny_bert):
    tiny_bert = dataclasses.replace(tiny_bert, max_tokens=16)
    expected = TextEncoder(tiny_bert).encode(TEXTS * 8).vectors
    encoder = _Failing(tiny_bert, torch.cuda.OutOfMemoryError("full"), lambda tokens: sum(map(len, tokens)) > 100)
    encoded = encoder.encode(TEXTS * 8)
    assert encoded.errors == [None] * 40
    np.testing.assert_allclose(encoded.vectors, expected, atol=1e-5)
    encoder.sizes.clear()
    encoder.encode(TEXTS * 8)
    assert max(encoder.sizes) <= 100  # what was learned in the first window holds in later ones


def test_a_text_too_long_for_memory_even_alone_is_recorded(tiny_bert):
    encoder = _Failing(tiny_bert, torch.cuda.OutOfMemoryError("full"), lambda tokens: max(map(len, tokens)) > 9)
    encoded = encoder.encode(TEXTS)
    assert encoded.valid.tolist() == [True, True, True, False, True]
    assert encoded.errors[3] == "OutOfMemoryError: full"


def test_a_broken_model_fails_the_task_instead_of_blaming_texts(tiny_bert):
    encoder = _Failing(tiny_bert, RuntimeError("device lost"), lambda tokens: True)
    with pytest.raises(RuntimeError, match="device lost"):
        encoder.encode(TEXTS)


def test_vectors_that_are_not_finite_are_errors(tiny_bert):
    encoder = TextEncoder(tiny_bert)
    red = encoder._token_ids(["red"])[0][1]
    with torch.no_grad():
        encoder._model.get_input_embeddings().weight[red] = float("nan")
    encoded = encoder.encode(["green lamp", "red lamp"])
    assert encoded.valid.tolist() == [True, False]
    assert encoded.errors == [None, "the model gives no finite vector"]


def test_float16_on_a_cpu_computes_in_float32_and_bfloat16_is_close(tiny_bert):
    vectors = {
        precision: TextEncoder(dataclasses.replace(tiny_bert, precision=precision)).encode(TEXTS).vectors
        for precision in ("float32", "float16", "bfloat16")
    }
    np.testing.assert_array_equal(vectors["float16"], vectors["float32"])
    assert (vectors["bfloat16"] * vectors["float32"]).sum(1).min() > 0.999
    assert not np.array_equal(vectors["bfloat16"], vectors["float32"])


def test_the_process_loads_a_model_once(tiny_bert, tiny_gpt):
    assert encoder_for(tiny_bert) is encoder_for(dataclasses.replace(tiny_bert))
    assert encoder_for(tiny_bert) is not encoder_for(tiny_gpt)
    assert encoder_for(tiny_bert) is not encoder_for(dataclasses.replace(tiny_bert, pooling="cls"))

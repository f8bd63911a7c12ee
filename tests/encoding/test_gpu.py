"""The encoder on a real GPU: same vectors, memory that runs out. Needs neither Spark nor Java.

Run alone where pyspark is missing: pytest --noconftest -p no:cacheprovider tests/encoding/test_gpu.py
"""

import dataclasses
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from interest_model.config import Encoder  # noqa: E402
from interest_model.encoding.text_encoder import TextEncoder  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]
SETTINGS = Encoder("minilm", "mean", "", 128, 16_384, 4096, "float32", 1.0)
WORDS = "red green blue lamp chair table jazz rock opera film war love space dog cat winter heart holder".split()


def some_texts(n: int) -> list[str]:
    """n texts of 1 to 60 words, the same ones each time."""
    rng = np.random.default_rng(3)
    return [" ".join(rng.choice(WORDS, size)) for size in rng.integers(1, 60, n)]


def test_float32_on_a_gpu_gives_the_vectors_of_the_cpu():
    texts = [*some_texts(300), None, ""]
    on_cpu, on_gpu = TextEncoder(SETTINGS, "cpu").encode(texts), TextEncoder(SETTINGS, "cuda:0").encode(texts)
    np.testing.assert_allclose(on_gpu.vectors, on_cpu.vectors, atol=1e-4)
    np.testing.assert_array_equal(on_gpu.valid, on_cpu.valid)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_points_the_same_way(precision):
    texts = some_texts(300)
    exact = TextEncoder(SETTINGS, "cpu").encode(texts).vectors
    half = TextEncoder(dataclasses.replace(SETTINGS, precision=precision), "cuda:0").encode(texts).vectors
    assert half.dtype == np.float32
    assert (exact * half).sum(1).min() > 0.999


def test_memory_that_runs_out_halves_the_budget_and_loses_nothing():
    texts = some_texts(4000)
    expected = TextEncoder(SETTINGS, "cuda:0").encode(texts).vectors
    torch.cuda.empty_cache()
    huge = dataclasses.replace(SETTINGS, batch_tokens=4_000_000)
    encoder = TextEncoder(huge, "cuda:0")
    allowed = torch.cuda.memory_allocated() + 512 * 1024**2  # a batch of all tokens needs several GiB
    torch.cuda.set_per_process_memory_fraction(allowed / torch.cuda.get_device_properties(0).total_memory)
    try:
        encoded = encoder.encode(texts)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert encoded.errors == [None] * len(texts)
    assert encoder._budget < huge.batch_tokens
    np.testing.assert_allclose(encoded.vectors, expected, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("batch_tokens", [4096, 16_384, 65_536])
def test_texts_per_second(precision, batch_tokens, capsys):
    """Prints a figure; asserts only that all texts have vectors."""
    settings = dataclasses.replace(SETTINGS, precision=precision, batch_tokens=batch_tokens)
    encoder, texts = TextEncoder(settings, "cuda:0"), some_texts(20_000)
    encoder.encode(texts[:4096])
    begun = time.perf_counter()
    encoded = encoder.encode(texts)
    seconds = time.perf_counter() - begun
    assert encoded.valid.all()
    with capsys.disabled():
        print(f"\n{precision} batch_tokens={batch_tokens}: {len(texts) / seconds:,.0f} texts/s, {encoder.device}")

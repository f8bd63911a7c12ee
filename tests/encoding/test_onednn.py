"""Layers computed by oneDNN give what torch's own give."""

import pytest
import torch

from interest_model.encoding.onednn import OneDnnLinear, use_onednn

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 8), (3, 5, 8), (0, 8)])
def test_same_numbers_as_linear(bias, shape):
    torch.manual_seed(1)
    linear = torch.nn.Linear(8, 6, bias=bias)
    inputs = torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(OneDnnLinear(linear)(inputs), linear(inputs), atol=1e-6, rtol=1e-5)


def test_only_plain_float32_layers_are_replaced():
    class Special(torch.nn.Linear):
        pass

    half = torch.nn.Linear(4, 4).to(torch.bfloat16)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), Special(4, 4), half, torch.nn.Sequential(torch.nn.Linear(4, 4)))
    kinds = [type(layer) for layer in use_onednn(model).modules() if not isinstance(layer, torch.nn.Sequential)]
    assert kinds == [OneDnnLinear, Special, torch.nn.Linear, OneDnnLinear]

"""Linear layers in float32 by oneDNN, for CPUs. torch, no Spark.

torch gives float32 products to MKL, which is slow on AMD processors. Measured on one AMD EPYC core, products
of 1,024 x 384 by 384 x 1,536: 93 GFLOP/s by MKL, 218 by oneDNN; the embedded encoder as a whole 1.7 times as fast, its
vectors equal within 3e-7.
"""

import torch


class OneDnnLinear(torch.nn.Module):
    """What a torch.nn.Linear computes, its weights laid out for oneDNN once. For inference on a CPU only."""

    def __init__(self, linear: torch.nn.Linear):
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self.bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")


def use_onednn(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its float32 linear layers replaced; unchanged where this torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return model
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is torch.nn.Linear and child.weight.dtype == torch.float32:
                setattr(parent, name, OneDnnLinear(child))
    return model

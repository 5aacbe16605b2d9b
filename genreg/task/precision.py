"""How exact float32 products are."""

from typing import Literal

import torch

Precision = Literal["fp32", "tf32", "bf16"]


def set_precision(precision: Precision) -> None:
    """Let float32 products use tf32, or forbid it; bf16 is a matter of each pass."""
    tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32

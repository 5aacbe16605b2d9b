"""The two convolutional networks of the VAT paper (arXiv:1704.03976, Table 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.model.base import Classifier
from genreg.parameters import Count, Fraction, checked

SMALLEST = 12  # pixels: two poolings by 2 leave the 3x3 kernel that an unpadded convolution needs


def _block(fan_in: int, width: int, kernel: int, padding: int) -> list[nn.Module]:
    convolution = nn.Conv2d(fan_in, width, kernel, padding=padding, bias=False)
    return [convolution, nn.BatchNorm2d(width), nn.LeakyReLU(0.1, inplace=True)]


class Conv(Classifier):
    """Conv-Small and Conv-Large: nine convolutions, each with batch normalization and leaky ReLU (0.1).

    Three 3x3 of `widths[0]`, pool, three 3x3 of `widths[1]`, pool, an unpadded 3x3 of `widths[2]`,
    1x1 of `widths[3]` and `widths[4]`, global average pooling, a linear layer; dropout after each pooling.
    Weights are stored channels_last.
    Raises InputError for pictures of fewer than 12 x 12 pixels.
    """

    by_item = ()

    @checked
    def __init__(
        self, *, input_shape: Sequence[int], outputs: Count, widths: list[Count], dropout: Fraction = 0.5
    ) -> None:
        super().__init__()
        if len(input_shape) != 3 or min(input_shape[1:]) < SMALLEST:
            raise InputError("model", f"pictures of at least {SMALLEST}x{SMALLEST}", tuple(input_shape))
        if len(widths) != 5:
            raise InputError("model.widths", "five widths, one for each group of convolutions", widths)
        a, b, c, d, e = widths
        self.features = nn.Sequential(
            *_block(input_shape[0], a, 3, 1), *_block(a, a, 3, 1), *_block(a, a, 3, 1),
            nn.MaxPool2d(2), nn.Dropout(dropout),
            *_block(a, b, 3, 1), *_block(b, b, 3, 1), *_block(b, b, 3, 1),
            nn.MaxPool2d(2), nn.Dropout(dropout),
            *_block(b, c, 3, 0), *_block(c, d, 1, 0), *_block(d, e, 1, 0),
        )  # fmt: skip
        self.output = nn.Linear(e, outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 18 % of a VAT step

    def classify(self, embedding: Tensor, mask: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.output(self.features(embedding).mean((2, 3)))
        return outputs

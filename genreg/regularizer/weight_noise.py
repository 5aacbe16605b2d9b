"""Noise on weights."""

from typing import Literal

from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from genreg import streams
from genreg.model.passes import norm
from genreg.parameters import STRICT, NonNegative
from genreg.regularizer.base import Regularizer
from genreg.regularizer.matrices import LINEAR


@dataclass(config=STRICT, kw_only=True)
class WeightNoise(Regularizer):
    """Each linear layer's weight is w + sigma s n in training, n ~ N(0, I), drawn once an update.

    An, "The effects of adding noise during backpropagation training" (Neural Computation, 1996). A
    parametrization, so that w is what is trained, saved and evaluated; frozen weights have no noise.

    scale: `relative`: s is the root mean square of the entries of w, a constant of the backward pass;
    `absolute`: s is 1.
    """

    sigma: NonNegative = 0.1
    scale: Literal["relative", "absolute"] = "relative"

    replicas = ("sigma",)
    by_item = ()

    @property
    def idle(self) -> bool:
        return not self.sigma

    def attach(self, model: nn.Module) -> None:
        for name, layer in list(model.named_modules()):
            if isinstance(layer, LINEAR) and layer.weight.requires_grad:
                noisy = Noisy(self.sigma, self.scale == "relative", f"{self.name}/{name}")
                register_parametrization(layer, "weight", noisy)


class Noisy(nn.Module):
    """w with noise in training, of the stream of its layer; w itself in evaluation."""

    def __init__(self, sigma: float, relative: bool, stream: str) -> None:
        super().__init__()
        self.sigma, self.relative, self.stream = sigma, relative, stream

    def forward(self, w: Tensor) -> Tensor:
        if not self.training:
            return w
        draw = streams.of_layer(self.stream, w.device)
        n = self.sigma * streams.normal_like(w, draw)
        return w + (norm(w.detach()) / w.numel() ** 0.5 * n if self.relative else n)

"""Cross-entropy."""

import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor

from genreg.dataset.base import Batch
from genreg.errors import InputError
from genreg.loss.base import Loss, Reduction
from genreg.parameters import STRICT
from genreg.run.metric import Metric


@dataclass(config=STRICT, kw_only=True)
class CrossEntropy(Loss):
    """Negative log likelihood of the class in nats; of probabilities p, -sum_c p_c log q_c."""

    name = "cross_entropy"

    def __call__(self, outputs: Tensor, batch: Batch, reduction: Reduction = "none") -> Tensor:
        return F.cross_entropy(outputs, batch.y, reduction=reduction)

    def check(self, classes: int) -> None:
        if not classes:
            raise InputError("loss", "mse for a dataset of real targets", self.name)

    def metrics(self, classes: int) -> tuple[Metric, ...]:
        return Metric("accuracy", "max", "%"), Metric("cross_entropy", "min", "nats")

    def items(self, outputs: Tensor, y: Tensor) -> dict[str, Tensor]:
        right = (outputs.argmax(1) == y).float()
        return {"accuracy": right, "cross_entropy": self.against(outputs, y, "none")}

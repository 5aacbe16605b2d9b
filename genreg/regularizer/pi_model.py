"""The Pi-model."""

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import Target, squared_distance
from genreg.parameters import STRICT
from genreg.regularizer.base import Regularizer, Weight
from genreg.regularizer.r_drop import check_noise


@dataclass(config=STRICT, kw_only=True)
class PiModel(Regularizer):
    """Squared distance of the predictions of unlabeled items in two passes of different noise.

    Laine and Aila, arXiv:1610.02242; summed over classes, of which that averages. Raises
    InputError for a model without noise inside, whose passes agree.

    target: `flow` trains both passes, as there; `stop` makes the second one a constant, as Oliver et al.,
        arXiv:1804.09170.
    """

    weight: Weight = 1.0
    target: Target = "flow"

    reads = frozenset({"unlabeled", "again", "classes"})
    replicas = ("weight",)
    by_item = ()

    def attach(self, model: nn.Module) -> None:
        check_noise(model, self.name)

    def penalty(self, forward: ClassifierForward) -> Tensor:
        clean = forward.unlabeled
        p, q = clean.logits.softmax(1), clean.again().softmax(1)
        return clean.mean(squared_distance(p, q if self.target == "flow" else q.detach(), "none"))

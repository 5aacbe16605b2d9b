"""R-Drop."""

from typing import Annotated, Literal

from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from genreg.errors import InputError
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import kl_divergence
from genreg.parameters import STRICT, Neutral
from genreg.regularizer.base import Reads, Regularizer, Weight


@dataclass(config=STRICT, kw_only=True)
class RDrop(Regularizer):
    """(KL(p || q) + KL(q || p)) / 2 of the predictions p, q of a batch under two dropout masks.

    Liang et al., arXiv:2106.14448. Both passes learn the labels; their losses are averaged, where the paper
    adds them. Raises InputError for a model without noise inside, whose passes agree.

    weight: factor of the term, half of the paper's alpha, since the losses are averaged.
    of: the `labeled` batch; or the `unlabeled` one, and labels are learned by one pass, as the code of
    kexue.fm archive 8496 does for few labels.
    """

    weight: Weight = 1.0
    of: Annotated[Literal["labeled", "unlabeled"], Neutral("labeled")] = "labeled"

    replicas = ("weight",)
    by_item = ()

    @property
    def reads(self) -> frozenset[Reads]:  # type: ignore[override]
        return frozenset({self.of, "again", "classes"})

    def attach(self, model: nn.Module) -> None:
        check_noise(model, self.name)

    def losses(self, forward: ClassifierForward, losses: Tensor) -> Tensor:
        if self.of == "unlabeled":
            return losses
        return (losses + forward.loss(forward.again(), forward.batch)) / 2

    def penalty(self, forward: ClassifierForward) -> Tensor:
        clean = forward if self.of == "labeled" else forward.unlabeled
        p, q = clean.logits, clean.again()
        both = (clean.mean(kl_divergence(a, b, "none")) for a, b in ((p, q), (q, p)))
        return (next(both) + next(both)) / 2


def check_noise(model: nn.Module, method: str) -> None:
    """InputError for a method that compares passes of a model without noise inside."""
    if not any(map(may_draw, model.modules())):
        expected = "dropout or another noise inside the model (model.dropout=, regularizer=dropout)"
        raise InputError(f"regularizer.{method}", expected, "a model whose passes agree")


def may_draw(layer: nn.Module) -> bool:
    """True if a layer is one of dropout, or has what methods attach to draw."""
    shares = (getattr(layer, name, 0) for name in ("p", "dropout"))
    hooks = layer._forward_hooks or layer._forward_pre_hooks
    return any(isinstance(s, int | float) and s for s in shares) or bool(hooks)

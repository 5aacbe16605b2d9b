"""The one axis on which arms differ: three seams, each a no-op unless a method overrides it."""

from torch import Tensor, nn

from genreg.forward.base import Forward


class Regularizer:
    """Base of every method; a subclass is a pydantic dataclass whose fields are its YAML keys.

    weight: factor of the penalty in the objective; a method of weight 0 is left out of the run.
    """

    weight: float = 1.0

    @property
    def uses_unlabeled(self) -> bool:
        """Whether the penalty reads `forward.unlabeled`."""
        return False

    @property
    def uses_unlabeled_gradient(self) -> bool:
        """Whether gradients flow through the clean unlabeled logits; False saves their backward pass."""
        return self.uses_unlabeled

    def attach(self, model: nn.Module) -> None:
        """Change the model before the optimizer is built: parametrizations, input or hidden noise."""

    def penalty(self, forward: Forward) -> Tensor | None:
        """The unweighted term of this step, a scalar; None if the method has none."""
        return None

    def project(self, model: nn.Module) -> None:
        """Change the weights in place after the optimizer's step: clipping, projections."""

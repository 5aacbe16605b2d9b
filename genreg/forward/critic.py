"""What a regularizer sees of one update of a critic, and the losses of both players."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genreg.forward.base import Forward
from genreg.model.gan import Critic
from genreg.model.statistics import running_statistics

LossName = Literal["wasserstein", "hinge", "nonsaturating"]


class Loss(NamedTuple):
    """critic(real scores, fake scores) and generator(fake scores), both to be minimized."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


LOSSES: dict[LossName, Loss] = {
    # Arjovsky et al., arXiv:1701.07875, Algorithm 1
    "wasserstein": Loss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    # Miyato et al., arXiv:1802.05957, equations 16 and 17
    "hinge": Loss(
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean()
    ),
    # Goodfellow et al., arXiv:1406.2661, section 3, in logits
    "nonsaturating": Loss(
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: F.softplus(-fake).mean(),
    ),
}


@dataclass(kw_only=True)
class CriticForward(Forward):
    """The critic's scores of a real and a fake batch; y: their labels, if the players are conditional.

    real_scores, fake_scores: (B,), computed at once, in one pass unless the critic normalizes over batches.
    """

    model: Critic
    real: Tensor
    fake: Tensor
    y: Tensor | None
    autocast: Callable[[], AbstractContextManager[None]]

    def __post_init__(self) -> None:
        with self.autocast():
            if self.model.batch_norms:
                scores = self.model(self.real, self.y), self.model(self.fake, self.y)
            else:
                y = None if self.y is None else torch.cat((self.y, self.y))
                scores = self.model(torch.cat((self.real, self.fake)), y).chunk(2)
        self.real_scores, self.fake_scores = (s.float() for s in scores)

    @property
    def layers(self) -> nn.Sequential | None:
        return self.model.chain

    @cached_property
    def points(self) -> Tensor:
        """Interpolates t real + (1 - t) fake, one t ~ U[0, 1] for each pair."""
        shape = (len(self.real), *(1 for _ in self.real.shape[1:]))
        t = torch.rand(shape, generator=self.generator, device=self.device)
        return self.fake + t * (self.real - self.fake)

    def score(self, x: Tensor) -> Tensor:
        """The critic's scores in full precision, without moving running statistics."""
        with running_statistics(self.model.batch_norms, 0):
            return self.model(x, self.y)

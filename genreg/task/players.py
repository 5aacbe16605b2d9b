"""What a critic and a generator minimize."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch.nn.functional as F
from torch import Tensor

LossName = Literal["wasserstein", "hinge", "nonsaturating"]


class PlayersLoss(NamedTuple):
    """critic(real scores, fake scores) and generator(fake scores), both to be minimized."""

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


LOSSES: dict[LossName, PlayersLoss] = {
    # Arjovsky et al., arXiv:1701.07875, Algorithm 1
    "wasserstein": PlayersLoss(lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
    # Miyato et al., arXiv:1802.05957, equations 16 and 17
    "hinge": PlayersLoss(
        lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), lambda fake: -fake.mean()
    ),
    # Goodfellow et al., arXiv:1406.2661, section 3, in logits
    "nonsaturating": PlayersLoss(
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: F.softplus(-fake).mean(),
    ),
}

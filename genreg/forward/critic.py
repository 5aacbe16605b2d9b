"""A forward pass of a critic as methods see it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property

import torch
from torch import Tensor, nn

from genreg import streams
from genreg.forward.base import Draws, Forward
from genreg.forward.update import counts
from genreg.model.gan import Critic
from genreg.model.statistics import RunningStatistics


class CriticForward(Forward):
    """The critic's scores of a real and a fake batch; y: their labels, if the players are conditional.

    real_scores, fake_scores: (B,), computed at once, in one pass unless the critic normalizes over batches:
    then its running statistics move once, by both.
    """

    model: Critic
    slope = 1.0  # of a critic whose scores differ by the Wasserstein-1 distance

    def __init__(
        self, model: Critic, real: Tensor, fake: Tensor, y: Tensor | None, *, draws: Draws,
        statistics: RunningStatistics, autocast: Callable[[], AbstractContextManager[None]],
    ) -> None:  # fmt: skip
        super().__init__(model, draws)
        self.real, self.fake, self.y, self.statistics = real, fake, y, statistics
        streams.begin_pass(streams.derived(draws.seed, "dropout/critic", self.step), real.device)
        with autocast():
            scores = self._apart() if statistics.layers else self._together()
        self.real_scores, self.fake_scores = (s.float() for s in scores)

    def _together(self) -> tuple[Tensor, ...]:
        y = None if self.y is None else torch.cat((self.y, self.y))
        scores: tuple[Tensor, ...] = self.model(torch.cat((self.real, self.fake)), y).chunk(2)
        return scores

    def _apart(self) -> tuple[Tensor, ...]:
        if not counts():
            with self.statistics.frozen():
                return self.model(self.real, self.y), self.model(self.fake, self.y)
        self.statistics.begin()
        real = self.model(self.real, self.y)
        with self.statistics.second(share=0.5):
            return real, self.model(self.fake, self.y)

    @property
    def layers(self) -> nn.Sequential:
        return self.model.layers

    def joined(self, x: Tensor) -> Tensor:
        return self.model.joined(x, self.y)

    @cached_property
    def points(self) -> Tensor:
        """Interpolates t real + (1 - t) fake, one t ~ U[0, 1] for each pair; the same for every method.

        Of conditional players both are of one class.
        """
        return self._between(self.fake)

    def points_across(self) -> Tensor:
        """`points`, each with the fake of another item, drawn by the method: a permutation of the batch."""
        order = streams.permutation(len(self.fake), self.draw, self.draws.device)
        return self._between(self.fake[order])

    def _between(self, fake: Tensor) -> Tensor:
        draw = streams.draw_of(self.draws.seed, "noise", self.step, self.draws.device)
        t = streams.uniform_of_items(self.real, draw)
        return fake + t * (self.real - fake)

    def score(self, x: Tensor) -> Tensor:
        """The critic's scores in full precision, without moving running statistics.

        With batch normalization each depends on all of x: a slope of one item is not to be had of their sum.
        """
        with self.statistics.frozen():
            scores: Tensor = self.model(x, self.y)
            return scores

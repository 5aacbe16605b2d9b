"""The objectives of a critic and of the generator that follows it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor

from genreg import streams
from genreg.dataset.base import mean_of
from genreg.forward.base import Draws
from genreg.forward.critic import CriticForward
from genreg.forward.update import backward, counts
from genreg.model.gan import Critic, Generator
from genreg.model.passes import frozen
from genreg.model.statistics import RunningStatistics
from genreg.optimizer import trainable
from genreg.regularizer import Regularizer, penalized
from genreg.streams import Seed
from genreg.task.generation import PlayersLoss


class Players:
    """Makes the gradients of both players' updates: of one run, or of replicas as one program.

    seed: of replicas, that of each. shown: real items and their labels of an update of the critic; of
    replicas, the items of each after those of the one before. critic_steps: updates of the critic for each of
    the generator. statistics: of the critic and of the generator.
    """

    def __init__(
        self,
        generator: Generator,
        critic: Critic,
        methods: Mapping[str, Regularizer],
        loss: PlayersLoss,
        *,
        seed: Seed,
        device: torch.device,
        shown: Callable[[int], tuple[Tensor, Tensor | None]],
        critic_steps: int,
        autocast: Callable[[], AbstractContextManager[None]],
        statistics: tuple[RunningStatistics, RunningStatistics],
    ) -> None:
        self.generator, self.critic, self.methods, self.loss = generator, critic, methods, loss
        self.seed, self.device, self.shown, self.autocast = seed, device, shown, autocast
        self.critic_steps, self.replicas = critic_steps, streams.replicas_of(seed)
        self.critic_statistics, self.generator_statistics = statistics
        self.critic_parameters, self.generator_parameters = map(trainable, (critic, generator))

    def critic_objective(self, number: int) -> Callable[[], dict[str, Tensor]]:
        """The objective of the critic's update `number`, against samples of the generator as it is.

        It makes the gradients, and gives the critic's estimate, each method's unweighted penalty and the
        weighted sum: scalars, or of replicas (R,).
        """
        real, y = self.shown(number)
        with torch.no_grad():
            fake = self.generate(len(real), "critic", number, y)
        return partial(self._critic_gradients, number, real, fake, y)

    def _critic_gradients(
        self, number: int, real: Tensor, fake: Tensor, y: Tensor | None
    ) -> dict[str, Tensor]:
        forward = CriticForward(
            self.critic, real, fake, y, draws=Draws(self.seed, number, self.device),
            statistics=self.critic_statistics, autocast=self.autocast,
        )  # fmt: skip
        loss = self.loss.critic(forward.real_scores, forward.fake_scores, forward.mean)
        distance = forward.mean(forward.real_scores) - forward.mean(forward.fake_scores)
        loss, penalties = penalized(loss, self.methods, forward, number)
        backward(loss, self.critic_parameters)
        return {"wasserstein": distance, **penalties, "critic_loss": loss}

    def generator_gradients(self, step: int) -> dict[str, Tensor]:
        """Make the generator's gradients against the frozen critic; its loss."""
        real, y = self.shown(step * self.critic_steps)
        streams.begin_pass(streams.derived(self.seed, "dropout/generator", step), self.device)
        with frozen(self.critic), self.critic_statistics.frozen():
            with nullcontext() if counts() else self.generator_statistics.frozen():
                fake = self.generate(len(real), "generator", step, y)
            with self.autocast():
                scores = self.critic(fake, y)
            loss = self.loss.generator(scores.float(), partial(mean_of, replicas=self.replicas))
        backward(loss, self.generator_parameters)
        return {"generator_loss": loss}

    def generate(self, n: int, stream: str, counter: int, y: Tensor | None = None) -> Tensor:
        """n samples of the generator in training, from draw `counter` of the stream latent/`stream`."""
        draw = streams.draw_of(self.seed, f"latent/{stream}", counter, self.device)
        z = streams.normal(n, self.generator.latent, draw, self.device)
        with self.autocast():
            made: Tensor = self.generator(z, y).float()
            return made

"""The evaluation of a generator: its samples, their features and measures."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genreg import streams
from genreg.dataset import Dataset
from genreg.dataset.draw import chosen
from genreg.errors import CollapsedError, InputError
from genreg.measure.generation import GanMeasure, Generated
from genreg.model.gan import Critic, Generator
from genreg.model.passes import evaluation_mode
from genreg.run.metric import Metric
from genreg.run.pictures import grid, scatter
from genreg.task.evaluation import Undefined, finite

LossName = Literal["wasserstein", "hinge", "nonsaturating"]


class PlayersLoss(NamedTuple):
    """critic(real scores, fake scores) and generator(fake scores), both to be minimized: means by `mean`."""

    critic: Callable[..., Tensor]
    generator: Callable[..., Tensor]


LOSSES: dict[LossName, PlayersLoss] = {
    # Arjovsky et al., arXiv:1701.07875, Algorithm 1
    "wasserstein": PlayersLoss(
        lambda real, fake, mean=torch.mean: mean(fake) - mean(real), lambda fake, mean=torch.mean: -mean(fake)
    ),
    # Miyato et al., arXiv:1802.05957, equations 16 and 17
    "hinge": PlayersLoss(
        lambda real, fake, mean=torch.mean: mean(F.relu(1 - real)) + mean(F.relu(1 + fake)),
        lambda fake, mean=torch.mean: -mean(fake),
    ),
    # Goodfellow et al., arXiv:1406.2661, section 3, in logits
    "nonsaturating": PlayersLoss(
        lambda real, fake, mean=torch.mean: mean(F.softplus(-real)) + mean(F.softplus(fake)),
        lambda fake, mean=torch.mean: mean(F.softplus(-fake)),
    ),
}


SHOWN = 64  # pictures of a grid
POINTS = 1000  # samples of a scatter plot
SELECTABLE = ("fid", "kid", "conditional_wasserstein", "wasserstein", "sliced_wasserstein")
"""Distances: the smallest is the best."""
CHUNK = 500  # samples generated at a time
OWN = (Metric("spread"),)
COLLAPSED = 0.01  # spread of the samples over that of the data, after ten times as much
EXPLODED = 1e8  # the size of scores of a critic without any bound


class GanEvaluation:
    """The measures of a run, and what they remember between evaluations.

    Samples come from the same latents at every evaluation. select: as in `WGAN`.
    """

    def __init__(
        self,
        data: Dataset,
        measure: Mapping[str, GanMeasure],
        features: Any,
        select: str | None,
        critic: Critic,
    ) -> None:
        usable = [name for name in SELECTABLE if name in measure]
        if select == "auto":
            select = next(iter(usable), None)
        if select is not None and select not in usable:
            known = f"auto, null or a chosen measure of distance ({', '.join(usable) or 'none is chosen'})"
            raise InputError("task.select", known, select)
        self.data, self.measure, self.features, self.critic = data, dict(measure), features, critic
        if len(data.validation) < 2 or not data.validation.x.var(0).sum() > 0:
            differ = "validation items that differ, since samples are judged by their spread"
            raise InputError("dataset", differ, f"{len(data.validation)}, all alike")
        self.selection = (f"validation/{select}", "min") if select else None
        self.progress = ("wasserstein", *([f"validation/{select}"] if select else []))
        self.metrics = [*OWN, *(metric for method in measure.values() for metric in method.metrics)]
        self.samples = max([SHOWN, *(method.samples for method in measure.values())])
        self.widest, self.undefined = 0.0, Undefined()  # the largest spread of samples so far
        self.histograms: dict[str, list[Tensor]] = {}
        with evaluation_mode(critic):  # what a measure cannot do is said before the first step
            seen = self._seen("validation", signed(data.validation.x[:SHOWN]))
            labels = seen.labels and (seen.labels[0], seen.labels[0])
            for name, method in self.measure.items():
                for n in {min(len(seen.fake), len(getattr(data, split))) for split in method.splits}:
                    check_defined(name, method, replace(seen, real=seen.fake[:n], labels=labels))

    def row(self, generator: Generator, seed: int) -> dict[str, float]:
        """Every measure on its splits, standard errors under `<split>_stderr/`, and the samples' spread.

        Raises CollapsedError when all samples have become one, or the critic's scores have no bound.
        """
        fake = self.sample(generator, seed, self.samples)
        row = {"samples/spread": self._spread(fake)}
        with evaluation_mode(self.critic):
            self._check(row["samples/spread"], fake)
            seen = {split: self._seen(split, fake) for split in ("validation", "test")}
            for name, method in self.measure.items():
                for split in method.splits:
                    with self.undefined.left_out(name, split):
                        self._measure(name, split, seen[split], row)
        return row

    def _measure(self, name: str, split: str, seen: Generated, row: dict[str, float]) -> None:
        """Write what a measure says of a split into the row, and note what it counts."""
        method = self.measure[name]
        for key, estimate in method(seen).items():
            with self.undefined.left_out(name, split):
                row[f"{split}/{key}"] = finite(estimate.value)
                if 0 < estimate.stderr < math.inf:
                    row[f"{split}_stderr/{key}"] = estimate.stderr
        for key, counts in method.histogram(seen).items():
            self.histograms.setdefault(f"{split}/{key}", []).append(counts.cpu())

    @torch.no_grad()
    def sample(self, generator: Generator, seed: int, n: int) -> Tensor:
        """n samples in evaluation mode; of a conditional generator, of each class in turn."""
        draw = streams.generator(seed, "latent/evaluation", device=self.data.unlabeled.device)
        z = torch.randn(n, generator.latent, generator=draw, device=draw.device)
        y = in_turn(n, generator.classes, draw.device)
        with evaluation_mode(generator):
            pairs = zip(z.split(CHUNK), y.split(CHUNK), strict=True)
            return torch.cat([generator(*pair) for pair in pairs])

    def picture(self, generator: Generator, seed: int) -> np.ndarray:
        """A grid of pictures, or samples of the plane among data; (H, W, 3) of uint8."""
        if len(self.data.input_shape) == 1:
            real = chosen(POINTS, self.data.validation.x)
            return scatter(real.cpu().numpy(), self.sample(generator, seed, POINTS).cpu().numpy())
        return grid(self.sample(generator, seed, SHOWN))

    def _seen(self, split: str, fake: Tensor) -> Generated:
        part, classes = getattr(self.data, split), self.critic.classes
        labels = (in_turn(len(fake), classes, fake.device), part.y) if classes else None
        return Generated(
            fake=fake, real=signed(part.x), labels=labels, modes=self.data.modes, features=self.features,
            critic=self._scores(part.y), layers=list(self.critic.layers),
            draw=lambda name: streams.generator(0, f"measure/{name}/{split}", device=fake.device),
        )  # fmt: skip

    def _scores(self, labels: Tensor) -> Callable[[Tensor], Tensor]:
        """The critic as a function of items alone; a conditional one is given labels in turn."""
        classes = self.critic.classes
        return lambda x: self.critic(x, in_turn(len(x), classes, x.device))

    def _check(self, spread: float, fake: Tensor) -> None:
        self.widest = max(self.widest, spread)
        if spread < min(COLLAPSED, self.widest / 10):
            fall = f"from {self.widest:.2g} to {spread:.2g} of the data's"
            raise CollapsedError(f"collapsed: the samples' spread fell {fall}")
        with torch.no_grad():
            size = self._scores(self.data.validation.y)(fake[:CHUNK]).abs().max().item()
        if not size < EXPLODED:
            raise CollapsedError(f"exploded: the critic scores samples with {size:.2g}; bound its slope")

    def _spread(self, fake: Tensor) -> float:
        """Standard deviation of the samples over that of the data."""
        real = signed(self.data.validation.x)
        return (fake.var(0).sum() / real.var(0).sum()).sqrt().item()

    def counts(self) -> dict[str, Tensor]:
        """Histograms of gradient norms, (evaluations, bins)."""
        return {name: torch.stack(counts) for name, counts in self.histograms.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"widest": self.widest, "histograms": self.counts()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.widest = state["widest"]
        self.histograms = {name: list(counts) for name, counts in state["histograms"].items()}


def reported(measure: Mapping[str, GanMeasure]) -> dict[str, Metric]:
    """The metrics that `GanEvaluation.row` may hold, by its key."""
    of_measures = ((method, split) for method in measure.values() for split in method.splits)
    found = {f"{split}{part}/{metric.name}": metric for method, split in of_measures
             for part in ("", "_stderr") for metric in method.metrics}  # fmt: skip
    return {f"samples/{metric.name}": metric for metric in OWN} | found


def check_defined(name: str, measure: GanMeasure, seen: Generated) -> None:
    """InputError for a measure that has no value for as few items as these."""
    try:
        with warnings.catch_warnings(action="ignore"):
            for estimate in measure(seen).values():
                finite(estimate.value)
    except (*Undefined.FAULTS, ValueError) as error:
        n, said = min(measure.samples, len(seen.real)), str(error).splitlines()[0]
        expected = "more items (samples, or items of a split), of which it is defined"
        raise InputError(f"measure.{name}", expected, f"{n}: {said}") from error


def in_turn(n: int, classes: int, device: torch.device) -> Tensor:
    """The classes one after another, again and again, (n,); zeros if there are none."""
    return torch.arange(n, device=device) % max(1, classes)


def signed(x: Tensor) -> Tensor:
    """Pictures from [0, 1] to [-1, 1]; points of the plane as they are."""
    return x if x.ndim == 2 else x * 2 - 1

"""The measures of a generator and its critic as options of `measure=`: samples beside items of a split."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar, Literal

import pydantic
import torch
from torch import Tensor, nn

from genreg.dataset.base import Modes
from genreg.dataset.draw import chosen, some
from genreg.errors import InputError
from genreg.features.random import Random
from genreg.measure import distance
from genreg.measure import distance as features
from genreg.measure.base import Estimate
from genreg.measure.distance import modes_covered
from genreg.parameters import STRICT, Count
from genreg.run.metric import Metric

log = logging.getLogger("genreg")


@dataclass(frozen=True)
class Generated:
    """All that a measure of a generator sees of one split.

    fake: (N, ...) samples; real: (M, ...) items of the split; pictures in [-1, 1]. labels: of both, (N,) and
    (M,), if the players are conditional. critic: scores (B,), differentiable in its input, its weights
    frozen. layers: the critic's, in order. draw: the generator of a measure, by its name.
    """

    fake: Tensor
    real: Tensor
    labels: tuple[Tensor, Tensor] | None
    modes: Modes | None
    features: Callable[[Tensor], Tensor] | None
    critic: Callable[[Tensor], Tensor]
    layers: Sequence[nn.Module]
    draw: Callable[[str], torch.Generator]

    def pair(self, samples: int) -> tuple[Tensor, Tensor]:
        """Equally many of fake and real: `samples`, or fewer where there are not so many."""
        n = min(samples, len(self.fake), len(self.real))
        return self.fake[:n], chosen(n, self.real)

    @cached_property
    def feature_pair(self) -> tuple[Tensor, Tensor]:
        """Features of as many of fake and real as both have, found once for all measures."""
        if self.features is None:
            raise ValueError("no features")
        fake, real = self.pair(len(self.fake))
        return self.features(fake), self.features(real)


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class GanMeasure(ABC):
    """Compares `samples` samples with equally many items of each of `splits`; fewer if there are fewer.

    metrics: what its numbers are.
    """

    of: ClassVar[str] = "a generator"
    metrics: ClassVar[tuple[Metric, ...]]

    splits: list[Literal["validation", "test"]]
    samples: Count

    @abstractmethod
    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        """Named values."""

    def histogram(self, seen: Generated) -> dict[str, Tensor]:
        """Counts to keep beside the rows; none for most."""
        return {}


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class Wasserstein(GanMeasure):
    """`wasserstein` exactly, and `wasserstein_real`: real items against others, as many.

    The latter is what a perfect generator would get, the bias at that sample count. A split gives at most
    half of its items to either side.
    """

    metrics = (Metric("wasserstein", "min"), Metric("wasserstein_real"))

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        n = min(self.samples, len(seen.fake), len(seen.real) // 2)
        if not n:
            raise ValueError("wasserstein needs a split of two items or more")
        index = some(len(seen.real), 2 * n, stream="measure/items").to(seen.real.device)
        real, others = seen.real[index].split(n)
        fake = seen.fake[:n]
        found = distance.wasserstein(fake, real)
        return {"wasserstein": found, "wasserstein_real": distance.wasserstein(others, real)}


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class ConditionalWasserstein(GanMeasure):
    """`conditional_wasserstein`: mean over classes of the exact distance of samples and items of one."""

    metrics = (Metric("conditional_wasserstein", "min"),)

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        if seen.labels is None:
            raise InputError("measure.conditional_wasserstein", "task.conditional=true", "false")
        n = min(self.samples, len(seen.fake), len(seen.real))
        fake, fake_y = seen.fake[:n], seen.labels[0][:n]
        real, real_y = chosen(n, seen.real), chosen(n, seen.labels[1])
        found = distance.conditional_wasserstein(fake, fake_y, real, real_y)
        return {"conditional_wasserstein": found}


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class SlicedWasserstein(GanMeasure):
    """`sliced_wasserstein` of coordinates or pixels, or of random convolutional features of pictures.

    projections: how many random directions; the same ones at every evaluation.
    """

    metrics = (Metric("sliced_wasserstein", "min"),)

    projections: Count
    features: Literal["random"] | None

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        fake, real = seen.pair(self.samples)
        if self.features:
            if real.ndim != 4:
                raise InputError("measure.sliced_wasserstein.features", "null where data are no pictures",
                                 self.features)  # fmt: skip
            extract = Random()
            fake, real = extract(fake), extract(real)
        found = distance.sliced_wasserstein(fake, real, self.projections, seen.draw("sliced_wasserstein"))
        return {"sliced_wasserstein": found}


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class ModesCovered(GanMeasure):
    """`modes` with a sample within three standard deviations, and the share of such samples."""

    metrics = (Metric("modes", "max"), Metric("high_quality", "max"))

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        if seen.modes is None:
            raise InputError("measure.modes", "a dataset of known modes: gaussian_ring or gaussian_grid")
        return modes_covered(seen.fake[: self.samples], seen.modes)


def _features(seen: Generated, samples: int, measure: str) -> tuple[Tensor, Tensor]:
    """Features of equally many of fake and real; InputError if there are none."""
    if seen.features is None:
        raise InputError(f"measure.{measure}", "features=classifier, random or inception", "none")
    fake, real = seen.feature_pair
    return fake[:samples], chosen(samples, real)


@cache
def tell_few(items: int, dimensions: int) -> None:
    """Say once in a process that so few items leave the covariance of their features without full rank."""
    if items <= dimensions:
        log.warning("measure.fid: too large, since %d items are no more than the %d features that it "
                    "compares (measure=kid has no such bias)", items, dimensions)  # fmt: skip


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class FID(GanMeasure):
    """`fid` on the chosen features, which every figure should name with its sample count."""

    metrics = (Metric("fid", "min"),)

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        fake, real = _features(seen, self.samples, "fid")
        tell_few(*fake.shape)
        return {"fid": features.fid(fake, real)}


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class KID(GanMeasure):
    """`kid` on the chosen features, with its standard error."""

    metrics = (Metric("kid", "min"),)

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        return {"kid": features.kid(*_features(seen, self.samples, "kid"))}


@pydantic.dataclasses.dataclass(config=STRICT, kw_only=True)
class PrecisionRecall(GanMeasure):
    """`precision` and `recall` on the chosen features. k: which nearest neighbour a ball reaches to."""

    metrics = (Metric("precision", "max"), Metric("recall", "max"))

    k: Count

    def __call__(self, seen: Generated) -> dict[str, Estimate]:
        return features.precision_recall(*_features(seen, self.samples, "precision_recall"), self.k)

"""The evaluation of a classifier: losses and measures of each split, and the loss on a plane."""

import logging
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genreg.dataset import Dataset, Split
from genreg.dataset.draw import chosen
from genreg.errors import InputError
from genreg.loss import Loss
from genreg.measure import LDS, ClassifierMeasure, mean, predict
from genreg.model import Classifier
from genreg.run.metric import GAP, Metric
from genreg.run.pictures import DARKEST, plane

log = logging.getLogger("genreg")

MOST = 1000  # labeled items that an evaluation reads, so that it costs little beside validation and test


class Undefined:
    """Leaves a measure out of a row where it is not defined, as its training has not diverged by that.

    Each measure of a run is told of once.
    """

    FAULTS = (ArithmeticError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]

    def __init__(self) -> None:
        self.told: set[str] = set()

    @contextmanager
    def left_out(self, measure: str, split: str) -> Iterator[None]:
        """Say in the log what is raised inside, if it is about numbers."""
        try:
            yield
        except self.FAULTS as error:
            if measure not in self.told:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                log.warning("measure.%s is not defined on %s, and left out of such rows: %s",
                            measure, split, reason)  # fmt: skip
            self.told.add(measure)


def finite(value: float) -> float:
    """The value; ArithmeticError unless it is finite."""
    if not math.isfinite(value):
        raise ArithmeticError(f"it is {value}")
    return value


def sample(labeled: Split) -> Split:
    """At most `MOST` of the labeled items, the same at every evaluation and in every arm.

    Not those that stand first: balanced labels stand class by class.
    """
    return Split(*(chosen(MOST, part, stream="sample") for part in (labeled.x, labeled.y, labeled.clean)))


def evaluate(
    model: Classifier,
    dataset: Dataset,
    labeled: Split,
    loss: Loss,
    measures: Mapping[str, ClassifierMeasure],
    undefined: Undefined | None = None,
) -> dict[str, float]:
    """The loss's metrics on validation, test and these labeled items, the gaps between them; every measure.

    Also on the clean items of a split where some are not, and on corrupted copies of test. A model whose loss
    is not finite has no measures; one of another that is not defined is left out.
    """
    row: dict[str, float] = {}
    splits = {"validation": dataset.validation, "test": dataset.test, "labeled": labeled}
    splits |= {f"test_{kind}": split for kind, split in dataset.corrupted.items()}
    for name, split in splits.items():
        outputs = predict(model, split.x)
        row |= _means(name, loss.items(outputs, split.y))
        if split.mixed:
            row |= _means(f"{name}_clean", loss.items(outputs[split.clean], split.y[split.clean]))
    first = loss.metrics(dataset.classes)[0]
    for name in ("validation", "test"):
        inside, outside = row[f"labeled/{first.name}"], row[f"{name}/{first.name}"]
        row[f"{name}/{GAP}"] = outside - inside if first.better == "min" else inside - outside
    for measure, function in measures.items() if all(map(math.isfinite, row.values())) else ():
        for name in function.splits:
            split = getattr(dataset, name)
            with (undefined or Undefined()).left_out(measure, name):
                row[f"{name}/{measure}"] = finite(function(model, split.x, split.y, loss).value)
    return row


def reported(
    loss: Loss, measures: Mapping[str, ClassifierMeasure], kinds: Iterable[str]
) -> dict[str, Metric]:
    """The metrics that `evaluate` may report, by key of a row; kinds: of corrupted copies."""
    first = loss.metrics(classes=2)[0]
    metrics = {metric.name: metric for classes in (2, 0) for metric in loss.metrics(classes)}
    splits = ["validation", "test", "labeled", *(f"test_{kind}" for kind in kinds)]
    found = {f"{split}{part}/{name}": metric for split in splits for part in ("", "_clean")
             for name, metric in metrics.items()}  # fmt: skip
    found |= {f"{split}/{GAP}": replace(first, name=GAP, better="min") for split in ("validation", "test")}
    of_measures = ((name, measure, split) for name, measure in measures.items() for split in measure.splits)
    return found | {f"{split}/{name}": replace(one.metric, name=name) for name, one, split in of_measures}


def _means(split: str, items: dict[str, Tensor]) -> dict[str, float]:
    return {f"{split}/{name}": mean(values).value for name, values in items.items()}


SIDE = 100  # points of the grid each way
MARGIN = 0.15  # of what the data span, on each side


def check_frames(frames: Collection[int] | None, data: Dataset) -> None:
    """InputError if pictures of the plane are asked for and the data are no classes of its points."""
    if frames and (data.input_shape != [2] or not data.classes):
        raise InputError(
            "task.frames", "null for a dataset that has no classes of points of the plane", frames
        )


def picture(model: Classifier, data: Dataset, measure: Mapping[str, Any]) -> np.ndarray:
    """Boundaries between classes, labeled and unlabeled points; (H, W, 3) of uint8.

    With an LDS among the measures the plane is shaded by minus its value at each point.
    """
    columns, rows = (span(x) for x in data.unlabeled.T)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).view(-1, 2)
    outputs = predict(model, grid)
    lds = next((one for one in measure.values() if isinstance(one, LDS)), None)
    rough = None if lds is None else shaped(-lds.of_items(model, grid, outputs.argmax(1)))
    title = "" if lds is None else f"-LDS at length {lds.epsilon:g}, white 0 to blue {DARKEST:g} nat"
    at, labeled = (numbers(columns), numbers(rows)), (numbers(data.labeled.x), numbers(data.labeled.y))
    return plane(at, margins(outputs), rough, numbers(data.unlabeled), labeled, title)


def span(x: Tensor) -> Tensor:
    """SIDE evenly spaced values from a little below the smallest to a little above the largest."""
    low, high = x.min().item(), x.max().item()
    margin = MARGIN * (high - low)
    return torch.linspace(low - margin, high + margin, SIDE, device=x.device)


def margins(outputs: Tensor) -> list[np.ndarray]:
    """By how much each class but the last is ahead of the best other: their zeros are all boundaries."""
    others = [
        torch.cat((outputs[:, :c], outputs[:, c + 1 :]), 1).amax(1) for c in range(outputs.shape[1] - 1)
    ]
    return [shaped(outputs[:, c] - best) for c, best in enumerate(others)]


def shaped(values: Tensor) -> np.ndarray:
    return numbers(values).reshape(SIDE, SIDE)


def numbers(values: Tensor) -> np.ndarray:
    found: np.ndarray = values.detach().cpu().numpy()
    return found

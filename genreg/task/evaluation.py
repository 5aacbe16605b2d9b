"""How a classifier is judged."""

from collections.abc import Mapping

import torch
from torch import Tensor

from genreg import streams
from genreg.dataset import Dataset, Split
from genreg.loss import Loss
from genreg.measure import ClassifierMeasure, mean, predict
from genreg.model import Classifier
from genreg.run.metric import GAP

MOST = 1000  # labeled items that an evaluation reads, so that it costs little beside validation and test


def sample(labeled: Split) -> Split:
    """At most `MOST` of the labeled items, the same at every evaluation and in every arm.

    Not those that stand first: balanced labels stand class by class.
    """
    if len(labeled) <= MOST:
        return labeled
    order = torch.randperm(len(labeled), generator=streams.generator(0, "sample"))
    return labeled[order[:MOST].to(labeled.y.device)]


def evaluate(
    model: Classifier,
    dataset: Dataset,
    labeled: Split,
    loss: Loss,
    measures: Mapping[str, ClassifierMeasure],
) -> dict[str, float]:
    """The loss's metrics on validation, test and these labeled items, the gaps between them; every measure.

    Also on the clean items of a split where some are not, and on corrupted copies of test.
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
    for measure, function in measures.items():
        for name in function.splits:
            split = getattr(dataset, name)
            row[f"{name}/{measure}"] = function(model, split.x, split.y, loss).value
    return row


def _means(split: str, items: dict[str, Tensor]) -> dict[str, float]:
    return {f"{split}/{name}": mean(values).value for name, values in items.items()}

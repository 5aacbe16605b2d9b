"""How a classifier is judged."""

from collections.abc import Mapping

from torch import Tensor

from genreg.dataset import Dataset
from genreg.loss import Loss
from genreg.measure import ClassifierMeasure, mean, predict
from genreg.model import Classifier


def evaluate(
    model: Classifier, dataset: Dataset, loss: Loss, measures: Mapping[str, ClassifierMeasure]
) -> dict[str, float]:
    """The loss's metrics on validation and test, also on clean items where some are not; every measure."""
    row: dict[str, float] = {}
    for name, split in (("validation", dataset.validation), ("test", dataset.test)):
        outputs = predict(model, split.x)
        row |= _means(name, loss.items(outputs, split.y))
        if split.clean.any() and not split.clean.all():
            row |= _means(f"{name}_clean", loss.items(outputs[split.clean], split.y[split.clean]))
    for measure, function in measures.items():
        for name in function.splits:
            split = getattr(dataset, name)
            row[f"{name}/{measure}"] = function(model, split.x, split.y, loss).value
    return row


def _means(split: str, items: dict[str, Tensor]) -> dict[str, float]:
    return {f"{split}/{name}": mean(values).value for name, values in items.items()}

"""A warning that predictions no longer depend on the input, to which consistency methods may come."""

import math
from collections.abc import Mapping

from torch import Tensor

from genreg.dataset import Dataset
from genreg.dataset.draw import chosen
from genreg.measure import predict
from genreg.model import Classifier
from genreg.regularizer import Regularizer
from genreg.regularizer.base import overrides
from genreg.run.folder import Row

ITEMS = 200  # of the pool, at an evaluation
CONSTANT = 0.95  # share of one class in them
SMALL = 0.1  # a term, over the largest that was logged
LEAST = 0.05  # fall of validation; or three standard errors of a difference, if that is more
LESS, LOST = 0.3, 0.75  # the term where a quarter of the best validation is lost


class Collapse:
    """Watches a classifier whose methods read the unlabeled batch, and says once that it has collapsed.

    Either a term is small, after it was larger, while validation falls; or one class is predicted for nearly
    all unlabeled items at two evaluations after one another, where labeled items are of several.
    accuracy: the key of a row that must not fall.
    """

    def __init__(self, methods: Mapping[str, Regularizer], data: Dataset, accuracy: str) -> None:
        penalties = {name: m for name, m in methods.items() if overrides(m, "penalty")}
        reading = {name: m for name, m in penalties.items() if "unlabeled" in m.reads}
        self.strengths = {
            name: f"regularizer.{name}.{'epsilon' if hasattr(method, 'epsilon') else 'weight'}"
            for name, method in reading.items()
        }
        self.watches = bool(reading) and data.classes > 0
        self.accuracy, self.data = accuracy, data
        self.items = chosen(ITEMS, data.unlabeled, stream="collapse")
        self.fall = max(LEAST, 3 * math.sqrt(0.5 / len(data.validation)))
        self.best, self.share, self.repeats = 0.0, 0.0, 0
        self.largest, self.latest = dict.fromkeys(reading, 0.0), dict.fromkeys(reading, math.inf)

    def look(self, model: Classifier) -> None:
        """See what the model that is judged predicts for unlabeled items."""
        if self.watches:
            self.share = largest_share(predict(model, self.items).argmax(1))
            self.repeats = self.repeats + 1 if self.share > CONSTANT else 0

    def remark(self, row: Row) -> str:
        """One line that says the collapse and its remedy at the row that shows it first, else empty."""
        for name in self.largest:
            self.latest[name] = row.get(f"train/{name}", self.latest[name])
            self.largest[name] = max(self.largest[name], row.get(f"train/{name}", 0.0))
        if not self.watches or self.accuracy not in row:
            return ""
        found = self._constant() or self._vanished(row[self.accuracy])
        if not found:
            return ""
        self.watches = False
        keys = " or ".join(self.strengths.values())
        return (
            f"{found}: predictions hardly depend on the input any more; try noise inside the model "
            f"(regularizer=hidden_noise, model.dropout) and another {keys}"
        )

    def _constant(self) -> str:
        if self.repeats < 2 or largest_share(self.data.labeled.y) > CONSTANT:
            return ""
        return f"one class is predicted for {self.share:.0%} of {len(self.items)} unlabeled items"

    def _vanished(self, accuracy: float) -> str:
        self.best = max(self.best, accuracy)
        if self.best - accuracy < self.fall:
            return ""
        small = LESS if accuracy < LOST * self.best else SMALL
        for name, largest in self.largest.items():
            if (value := self.latest[name]) < small * largest:
                fell = f"{self.accuracy} fell from {self.best:.3f} to {accuracy:.3f}"
                return f"train/{name} is {value:.2g}, of {largest:.2g} at its largest, while {fell}"
        return ""


def largest_share(classes: Tensor) -> float:
    """The share of the class that stands most often."""
    return classes.bincount().max().item() / len(classes)

"""What a classifier of points makes of the plane around its data, as a picture."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genreg.dataset import Dataset
from genreg.errors import InputError
from genreg.measure import LDS, predict
from genreg.model import Classifier
from genreg.run.pictures import MOST, plane

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
    title = "" if lds is None else f"-LDS at length {lds.epsilon:g}, white 0 to blue {MOST:g} nat"
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

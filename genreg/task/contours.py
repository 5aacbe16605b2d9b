"""The loss of a landscape where its replicas went, for whoever draws their paths without the landscape."""

from collections.abc import Mapping

import torch
from torch import Tensor

from genreg.model.landscape import Landscape

SIDE = 48  # points of the grid each way
MARGIN = 0.1  # of what the paths span, on each side


@torch.no_grad()
def contours(model: Landscape, history: Mapping[str, Tensor], alive: Tensor) -> dict[str, Tensor]:
    """`w/<name>` (SIDE,) of both coordinates and `loss` (SIDE, SIDE), rows by the second one.

    history: each observed quantity, (evaluations, replicas). Empty for a landscape that has not two
    coordinates, or whose loss they do not determine.
    """
    names = list(model.coordinates())
    if len(names) != 2 or not history or not alive.any():
        return {}
    ends = {name: span(history[f"w/{name}"][:, alive]) for name in names}
    first, second = ends.values()
    columns, rows = torch.meshgrid(first, second, indexing="xy")
    loss = model.loss_at(dict(zip(names, (columns, rows), strict=True)))
    if loss is None:
        return {}
    return {"loss": loss.float(), **{f"w/{name}": at.float() for name, at in ends.items()}}


def span(values: Tensor) -> Tensor:
    """Evenly spaced values around these, on both sides of zero only where these are."""
    values = values.double()
    low, high = values.min().item(), values.max().item()
    margin = MARGIN * (high - low) or abs(high) * MARGIN or 1.0
    start = max(low - margin, 0.0) if low >= 0 else low - margin
    end = min(high + margin, 0.0) if high <= 0 else high + margin
    return torch.linspace(start, end, SIDE, dtype=torch.float64)

"""A model in DistributedDataParallel: two processes on half a batch each make one step on the whole."""

from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from genreg.forward import Batch
from genreg.forward.classifier import ClassifierForward
from genreg.forward.perturbation import unit
from genreg.model import MLP
from genreg.regularizer import VAT
from genreg.regularizer import vat as module

RANKS = 2
METHODS: dict[str, Any] = {
    "finite_difference": {"power_iterations": 2},
    "exact": {"direction": "exact", "power_iterations": 2},
    "flow": {"target": "flow"},
}


def network() -> MLP:
    torch.manual_seed(0)
    return MLP(input_shape=[3], outputs=4, widths=[8], activation="tanh").double()


def joined() -> dict[str, Tensor]:
    """A labeled batch, an unlabeled one, and where its directions start."""
    draw = partial(torch.randn, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return {"labeled": draw(8, 3), "y": torch.arange(8) % 4, "pool": draw(16, 3), "start": draw(16, 3)}


def step(model: nn.Module, rows: dict[str, Tensor], **options: Any) -> Tensor:
    """Cross-entropy plus VAT, backwards; the penalty."""
    pool = ClassifierForward(model, Batch(rows["pool"], rows["y"][:0], 4))
    forward = ClassifierForward(model, Batch(rows["labeled"], rows["y"], 4), unlabeled=pool)
    start = unit(rows["start"], "example")
    with patch.object(module, "random_direction", lambda *_: start):
        penalty = VAT(epsilon=0.7, **options).penalty(forward)
    assert penalty is not None
    (forward.loss(forward.logits, forward.batch, "mean") + penalty).backward()
    return penalty.detach()


def gradients(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def process(rank: int, folder: Path) -> None:
    """What each rank does: the steps of all methods on its rows; the first one writes what came."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    found = {}
    for name, options in METHODS.items():
        model = DistributedDataParallel(network())
        rows = {key: value.chunk(RANKS)[rank] for key, value in joined().items()}
        penalty = step(model, rows, **options)
        dist.all_reduce(penalty)
        found[name] = [penalty / RANKS, *gradients(model.module)]
    if rank == 0:
        torch.save(found, folder / "found.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Tensor]]:
    """The averaged penalty and gradients of two processes, for each method."""
    folder = tmp_path_factory.mktemp("parallel")
    multiprocessing.spawn(process, (folder,), RANKS)
    return torch.load(folder / "found.pt", weights_only=True)


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_make_the_gradients_of_one(name: str, found: dict[str, list[Tensor]]) -> None:
    model = network()
    penalty = step(model, joined(), **METHODS[name])
    assert penalty > 1e-3
    ours, theirs = [penalty, *gradients(model)], found[name]
    assert len(ours) == len(theirs) == 5
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-13)

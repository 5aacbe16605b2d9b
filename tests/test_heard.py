"""What a person chooses is heard: hooks in training, options of optimizers in every task."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMOKE, small_task
from torch import nn

from genreg.dataset import gaussian_ring
from genreg.errors import InputError
from genreg.model import MLPGan
from genreg.model.landscape import WideningValley
from genreg.optimizer import anti_pgd, pgd, sam
from genreg.regularizer import VAT, Regularizer
from genreg.run.folder import RunFolder
from genreg.task.landscape import Minimize
from genreg.task.wgan import WGAN


class Counting(Regularizer):
    """Counts the passes of the model that it is attached to."""

    passes = 0

    def attach(self, model: nn.Module) -> None:
        model.register_forward_pre_hook(self.count, with_kwargs=True)

    def count(self, *_: Any) -> None:
        self.passes += 1


def test_a_hook_on_the_model_fires_in_every_pass_of_a_step() -> None:
    counting = Counting()
    task = small_task({"counting": counting, "vat": VAT(power_iterations=1)})
    task.step(0)
    assert counting.passes == 4  # labeled, unlabeled, the direction's, the perturbed
    task.evaluate()
    assert counting.passes == 8  # validation, test, labeled, some of the pool for its remark


def players(critic: Any, generator: Any) -> WGAN:
    ring = partial(gaussian_ring, items=200, validation=50, test=50, labeled=16)
    model = partial(MLPGan, widths=[8], generator_widths=[8])
    return WGAN(dataset=ring, model=model, optimizer=critic, generator_optimizer=generator, regularizer={})


@pytest.mark.parametrize("iterate", ["w", "z"])
def test_players_are_judged_at_the_iterate_that_their_optimizers_say(iterate: Any) -> None:
    noisy = partial(anti_pgd, lr=0.01, sigma=0.1, evaluate_at=iterate)
    task = players(noisy, noisy)
    for step in range(3):
        task.step(step)
    own = {f"generator.{name}": p for name, p in task.generator.named_parameters()}
    own |= {f"critic.{name}": p for name, p in task.critic.named_parameters()}
    judged = task.weights()
    assert all(torch.equal(judged[name], p) == (iterate == "w") for name, p in own.items())
    for optimizer, prefix in ((task.optimizer, "critic."), (task.generator_optimizer, "generator.")):
        with optimizer.noise_free():  # type: ignore[attr-defined]
            at_z = [p.detach().clone() for name, p in own.items() if name.startswith(prefix)]
        if iterate == "z":
            assert all(map(torch.equal, at_z, (judged[name] for name in own if name.startswith(prefix))))


def test_the_noise_of_two_players_is_not_the_same() -> None:
    task = players(partial(pgd, lr=0.0, sigma=1.0), partial(pgd, lr=0.0, sigma=1.0))
    streams = [optimizer.stream for optimizer in (task.optimizer, task.generator_optimizer)]  # type: ignore[attr-defined]
    assert len(set(streams)) == 2
    before = [p.detach().clone() for p in (next(task.critic.parameters()), next(task.generator.parameters()))]
    task.critic_steps = 1
    task.step(0)
    after = (next(task.critic.parameters()), next(task.generator.parameters()))
    first, second = ((a - b).flatten()[:8] for a, b in zip(after, before, strict=True))
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("make", [torch.optim.Adam, torch.optim.SGD, partial(sam, base="adam")])
def test_replicas_are_never_moved_by_a_fused_kernel(make: Any) -> None:
    valley = partial(WideningValley, d=3, replicas=2)
    given = {} if isinstance(make, partial) else {"fused": True}
    task = Minimize(model=valley, optimizer=partial(make, lr=0.01, **given))
    assert not any(group.get("fused") for group in task.optimizer.param_groups)


def test_betas_of_a_base_that_has_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"optimizer.betas.*momentum instead"):
        sam([nn.Parameter(torch.zeros(1))], base="sgd", betas=(0.5, 0.9))


def test_a_run_folder_says_what_its_metrics_are_and_of_how_many_items(genreg: Any, tmp_path: Path) -> None:
    assert genreg("train", *SMOKE, "measure=[lds]").code == 0
    (summary,) = (RunFolder(path.parent).summary() for path in tmp_path.rglob("summary.json"))
    assert summary["metrics"] == {
        "accuracy": {"better": "max", "unit": "%"},
        "cross_entropy": {"better": "min", "unit": "nats"},
        "generalization_gap": {"better": "min", "unit": "%"},
        "lds": {"better": "max", "unit": "nats"},
        "validation/": {"reported": "test"},
        "validation_clean/": {"reported": "test"},
    }
    assert summary["baselines"] == ["none", "supervised", "gd", "sgd"]
    assert summary["items"] == {"labeled": 8, "unlabeled": 1000, "validation": 500, "test": 1000}

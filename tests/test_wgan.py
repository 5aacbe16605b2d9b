"""The task wgan: what one step does to either player, and runs that go wrong."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Result
from PIL import Image
from seam import resumed
from torch import Tensor

from genreg.dataset import gaussian_ring
from genreg.forward.critic import CriticForward
from genreg.measure import ConditionalWasserstein, Wasserstein
from genreg.model import MLPGan
from genreg.regularizer import GradientPenalty, SpectralNormalization, WeightClipping
from genreg.run import checkpoint, loop
from genreg.run.folder import RunFolder
from genreg.task.wgan import WGAN

METHODS: dict[str, Callable[[], dict[str, Any]]] = {
    "none": dict,
    "clip": lambda: {"weight_clipping": WeightClipping(bound=0.125)},
    "gp": lambda: {"gradient_penalty": GradientPenalty()},
    "one_sided": lambda: {"gradient_penalty": GradientPenalty(one_sided=True)},
    "sn": lambda: {"spectral_normalization": SpectralNormalization()},
}


def small_gan(method: str = "gp", **options: Any) -> WGAN:
    """A ring of eight modes, two narrow perceptrons, Adam."""
    adam = partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.9))
    model = partial(MLPGan, widths=[32, 32], generator_widths=[32, 32], activation="leaky_relu")
    given = {
        "dataset": partial(gaussian_ring, items=2000, validation=400, test=400), "model": model,
        "optimizer": adam, "generator_optimizer": adam, "regularizer": METHODS[method](), "batch_size": 32,
    }  # fmt: skip
    return WGAN(**{**given, **options})


def copies(module: torch.nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(map(torch.equal, a, b))


@pytest.mark.parametrize("method", METHODS)
def test_each_update_moves_its_own_player_only(method: str) -> None:
    task = small_gan(method)
    generator, critic = copies(task.generator), copies(task.critic)
    task.critic_step(0)
    assert same(generator, copies(task.generator))
    assert all(p.grad is None for p in task.generator.parameters())  # no penalty reaches the generator
    assert not same(critic, copies(task.critic))
    critic = copies(task.critic)
    task.optimizer.zero_grad()
    task.generator_step(0)
    assert same(critic, copies(task.critic))
    assert all(p.grad is None and p.requires_grad for p in task.critic.parameters())
    assert not same(generator, copies(task.generator))


def test_a_step_is_critic_steps_updates_and_one_of_the_generator() -> None:
    task, by_hand = small_gan(critic_steps=3), small_gan(critic_steps=3)
    task.step(0)
    task.step(1)
    for step in range(2):
        for update in range(3):
            by_hand.critic_step(3 * step + update)
        by_hand.generator_step(step)
    assert same(copies(task.model), copies(by_hand.model))


def test_the_generator_descends_on_its_scores() -> None:
    """One plain gradient step by hand, through the critic as it is."""
    task = small_gan("none", generator_optimizer=partial(torch.optim.SGD, lr=0.1))
    draw = torch.Generator().manual_seed(0)
    z = torch.randn(32, 2, generator=draw)
    task.players.generate = lambda *_: task.generator(z)  # type: ignore[method-assign]
    before = copies(task.generator)
    loss = -task.critic(task.generator(z)).mean()
    gradients = torch.autograd.grad(loss, list(task.generator.parameters()))
    task.generator_step(0)
    for w, g, now in zip(before, gradients, task.generator.parameters(), strict=True):
        torch.testing.assert_close(now.detach(), w - 0.1 * g, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", ["clip", "sn"])
def test_real_and_fake_share_one_pass(method: str) -> None:
    task = small_gan(method)
    sizes: list[int] = []
    task.critic.register_forward_hook(lambda _module, inputs, _out: sizes.append(len(inputs[0])))
    task.critic_step(0)
    assert sizes == [64]


@pytest.mark.parametrize(("interpolate", "least", "most"), [("within", 1.0, 1.0), ("across", 0.0, 0.5)])
def test_interpolates_of_one_class_stay_at_its_mode(
    interpolate: Any, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a generator that puts every item on the center of its class."""
    penalty = GradientPenalty(interpolate=interpolate)
    task = small_gan(regularizer={"gradient_penalty": penalty}, conditional=True, batch_size=200)
    modes, seen = task.evaluation.data.modes, []
    assert modes
    task.players.generate = lambda n, stream, counter, y=None: modes.centers[y]  # type: ignore[method-assign]
    score = CriticForward.score
    monkeypatch.setattr(CriticForward, "score", lambda self, x: seen.append(x) or score(self, x))  # type: ignore[func-returns-value]
    penalty.implementation = "double_backward"
    task.critic_step(0)
    near = torch.cdist(seen[0].detach(), modes.centers).min(1).values < 5 * modes.sigma
    assert least <= near.float().mean().item() <= most


def test_the_average_follows_the_generator() -> None:
    task = small_gan(ema_decay=0.9)
    expected = copies(task.generator)
    for step in range(4):
        task.step(step)
        expected = [0.9 * a + 0.1 * w for a, w in zip(expected, copies(task.generator), strict=True)]
    for a, b in zip(expected, copies(task.average), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    kept = [w for name, w in task.weights().items() if name.startswith("generator.")]
    assert same(kept, copies(task.average))


def test_arms_share_initial_weights_latents_and_data() -> None:
    clip, none = small_gan("clip"), small_gan("none")
    assert same(copies(clip.model), copies(none.model))
    assert torch.equal(clip.batch(3), none.batch(3))
    assert torch.equal(clip.players.generate(5, "critic", 3), none.players.generate(5, "critic", 3))


def test_power_iteration_advances_once_for_each_critic_update() -> None:
    def left_vector(task: WGAN) -> Tensor:
        return task.critic.layers[1].parametrizations.weight[0].u.clone()  # type: ignore[union-attr,index,operator]

    task = small_gan("sn", regularizer={"sn": SpectralNormalization(warm_up=1)})
    u, matrix = left_vector(task), task.critic.layers[1].parametrizations.weight.original.detach()  # type: ignore[union-attr]
    by_hand = torch.nn.functional.normalize(
        matrix @ torch.nn.functional.normalize(matrix.T @ u, dim=0), dim=0
    )
    task.critic_step(0)
    torch.testing.assert_close(left_vector(task), by_hand)
    u = left_vector(task)
    task.generator_step(0)
    assert torch.equal(u, left_vector(task))


@pytest.mark.full
def test_slope_of_a_normalized_perceptron_stays_within_one() -> None:
    task = small_gan("sn")
    for step in range(150):
        task.step(step)
    task.critic.eval()
    x = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)) * 2
    x.requires_grad_()
    slopes = torch.autograd.grad(task.critic(x).sum(), x)[0].norm(dim=1)
    assert 0.1 < slopes.max().item() <= 1


def test_clipping_bounds_every_weight_after_every_update_and_on_the_disk(tmp_path: Path) -> None:
    task = small_gan("clip")
    for update in range(5):
        task.critic_step(update)
        assert max(p.abs().max().item() for p in task.critic.parameters()) <= 0.125

    class Stopped(Exception):  # noqa: N818
        pass

    def stop(_row: Any, _pictures: Any) -> None:
        raise Stopped

    view = type("View", (), {"show": staticmethod(stop)})()
    with pytest.raises(Stopped):
        loop.run(small_gan("clip"), RunFolder(tmp_path), steps=9, log_every=9, eval_every=9,
                 checkpoint_every=4, views=[view])  # fmt: skip
    _, saved = next(checkpoint.valid(tmp_path))
    assert saved
    critic = [w for name, w in saved["task"]["model"].items() if name.startswith("critic.")]
    assert max(w.abs().max().item() for w in critic) <= 0.125
    assert saved["step"] == 8


@pytest.mark.full
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9, "conditional": True, "loss": "hinge"}])
def test_state_survives_a_round_trip_bit_for_bit(method: str, options: dict[str, Any]) -> None:
    rmsprop = partial(torch.optim.RMSprop, lr=1e-3)
    resumed(lambda: small_gan(method, generator_optimizer=rmsprop, **options), steps=12, at=5)


@pytest.mark.full
def test_a_ring_is_learned() -> None:
    measure = {"wasserstein": Wasserstein(splits=["validation"], samples=200)}
    task = small_gan("one_sided", measure=measure, select="wasserstein", ema_decay=0.98)
    before = task.evaluate()["validation/wasserstein"]
    for step in range(300):
        task.step(step)
    after = task.evaluate()["validation/wasserstein"]
    assert before > 1
    assert after < 0.5


@pytest.mark.full
def test_a_conditional_generator_is_given_each_class() -> None:
    within = {"conditional_wasserstein": ConditionalWasserstein(splits=["validation"], samples=400)}
    task = small_gan("sn", conditional=True, ema_decay=0.95, measure=within)
    assert task.selection == ("validation/conditional_wasserstein", "min")
    before = task.evaluate()["validation/conditional_wasserstein"]
    for step in range(400):
        task.step(step)
    assert task.evaluate()["validation/conditional_wasserstein"] < before / 2
    x = task.evaluation.sample(task.average, 0, 800)
    nearest = torch.cdist(x, task.evaluation.data.modes.centers).argmin(1)  # type: ignore[union-attr]
    assert (nearest == torch.arange(800) % 8).float().mean() > 0.5  # by chance: 1 / 8


@pytest.mark.full
def test_a_run_leaves_pictures_of_the_same_latents(genreg: Callable[..., Result]) -> None:
    assert genreg("train", "task=wgan", "steps=4", "eval_every=2", "logger=none", "device=cpu").code == 0
    (folder,) = Path("outputs").glob("*/*/seed=0")
    pictures = sorted((folder / "samples").iterdir())
    assert [path.name for path in pictures] == ["step=2.png", "step=4.png"]
    first, second = (np.asarray(Image.open(path)) for path in pictures)
    assert first.shape == second.shape
    assert first.std() > 10
    assert not np.array_equal(first, second)


@pytest.mark.full
@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["optimizer.lr=3", "regularizer=none"], "exploded: the critic scores samples with"),
        (
            ["regularizer=spectral_normalization", "generator_optimizer.weight_decay=1e3"],
            "collapsed: the samples' spread fell",
        ),
    ],
)
def test_a_run_that_fails_says_how_and_the_others_go_on(
    genreg: Callable[..., Result], overrides: list[str], reason: str
) -> None:
    result = genreg("train", "-m", "task=wgan", "seed=0,1", "steps=200", "eval_every=10", "logger=none",
                    "device=cpu", *overrides)  # fmt: skip
    assert result.code == 1
    folders = sorted(Path("outputs").glob("*/*/seed=*"))
    assert [folder.name for folder in folders] == ["seed=0", "seed=1"]
    for folder in folders:
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["status"] == "failed"
        assert summary["reason"].startswith(reason)
        assert (folder / "samples" / f"step={summary['step']}.png").exists()
    assert reason in result.err


def test_a_critic_that_nothing_bounds_is_said(caplog: pytest.LogCaptureFixture) -> None:
    small_gan("none", loss="hinge")
    small_gan("gp")
    assert "bounds the critic" not in caplog.text
    small_gan("none")
    assert caplog.text.count("task=wgan: no regularizer bounds the critic") == 1

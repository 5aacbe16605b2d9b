"""Runs trained as one tensor program leave what single runs leave, to the last bit."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from conftest import yaml_options
from omegaconf import OmegaConf

from genreg import CONFIGS
from genreg.dataset import digits, gaussian_ring, two_moons
from genreg.model import MLP, MLPGan
from genreg.optimizer import anti_pgd
from genreg.regularizer import Regularizer
from genreg.run.factory import factory
from genreg.study import groups
from genreg.task.classify import Classify
from genreg.task.wgan import WGAN

NODES: dict[str, Any] = {
    name: OmegaConf.to_container(OmegaConf.load(CONFIGS / "regularizer" / f"{name}.yaml"))
    for name in yaml_options("regularizer")
    if name != "none"
}
GROUPED = {name: node for name, node in NODES.items() if groups._declared(node["_target_"]) is not None}
TRIED = {"vat": {"power_iterations": 2}, "noise_consistency": {"samples": 3}, "input_noise": {"samples": 3},
         "gradient_penalty": {"points": "noised"}, "jacobian_penalty": {"estimator": "sampled", "probes": 3},
         "laplacian_penalty": {"estimator": "sampled", "probes": 3}}  # fmt: skip
RAMP = {"start": 0.1, "end": 2.0, "steps": 7}
OTHERS: list[dict[str, dict[str, Any]]] = [
    {"vat": {"direction": "exact", "target": "flow", "norm": "linf"}}, {"vat": {"scope": "batch"}},
    {"noise_consistency": {"divergence": "mse", "scope": "batch"}}, {"adversarial": {"norm": "l2"}},
    {"gradient_penalty": {"points": "interpolated", "one_sided": True}},
    {"laplacian_penalty": {"estimator": "exact"}}, {"input_noise": {"distribution": "uniform"}},
    {"input_noise": {"distribution": "bernoulli", "mode": "multiplicative"}}, {"fgm": {"scope": "batch"}},
    {"vat": {}, "entropy": {}, "fgm": {}, "label_smoothing": {}, "r_drop": {"of": "unlabeled"}},
    {"vat": {}, "l1": {}, "l2": {}, "orthogonal": {}, "frobenius_projection": {}},
    {"weight_average": {}, "dropout": {}},
    {"hidden_noise": {"mode": "multiplicative", "each_pass": True}, "mean_teacher": {}, "vat": {}},
    {"spectral_normalization": {}, "weight_noise": {"scale": "absolute"}, "pi_model": {"weight": RAMP}},
    {"random_affine": {"unlabeled": True}, "random_crop": {"unlabeled": True}, "mirror": {}, "vat": {}},
    {"mean_teacher": {}, "weight_noise": {}},
]  # fmt: skip


def methods(chosen: dict[str, dict[str, Any]], number: int) -> dict[str, Regularizer]:
    """The methods with these options; whatever may differ between replicas does."""
    made = {}
    for name, options in chosen.items():
        node = {**GROUPED[name], **options}
        for key in groups._declared(node["_target_"]) or ():
            node[key] = scaled(node[key], number)
        made[name] = factory(node, name)()
    return made


def scaled(value: Any, number: int) -> Any:
    """A strength as replica `number` has it; a ramp takes other steps too."""
    if isinstance(value, dict):
        return {key: value[key] + number if key == "steps" else scaled(value[key], number) for key in value}
    return value and value * (1 - 0.15 * number)


def tasks(chosen: dict[str, dict[str, Any]], replicas: int, optimizer: Any = None, dataset: Any = digits,
          dropout: float = 0.2, **model: Any) -> list[Classify]:  # fmt: skip
    """A task for each replica, alone or to be grouped: with other seeds, rates, strengths and dropout."""
    made = optimizer or (lambda n: partial(torch.optim.Adam, lr=1e-3 * (1 + n), fused=True))
    return [
        Classify(
            dataset=partial(dataset, labeled=24),
            batch_size=9,
            unlabeled_batch_size=11,
            seed=n,
            model=partial(MLP, **{"widths": [20, 13], "dropout": dropout and dropout + 0.1 * n, **model}),
            optimizer=made(n),
            regularizer=methods(chosen, n),
        )
        for n in range(replicas)
    ]


def same(make: Callable[[], list[Any]], steps: int = 10) -> None:
    """Each step's terms, and in the end weights, states and evaluations, are those of single runs."""
    alone, together = make(), make()
    program = together[0].program(together)
    for step in range(steps):
        for one, terms in zip(alone, program.step(step), strict=True):
            expected = one.step(step)
            assert list(terms) == list(expected)
            for name, term in terms.items():
                assert torch.equal(term, expected[name]), (step, name)
    for one, other in zip(alone, together, strict=True):
        assert one.evaluate() == other.evaluate()
        for a, b in ((one.weights(), other.weights()), (moments(one), moments(other))):
            assert a.keys() == b.keys()
            assert all(torch.equal(a[name], b[name]) for name in a)


def moments(task: Any) -> dict[str, torch.Tensor]:
    state = task.state_dict()["optimizer"]["state"]
    return {f"{n}/{k}": v for n, values in state.items() for k, v in values.items() if v is not None}


@pytest.mark.parametrize("name", ["none", *GROUPED])
def test_a_replica_of_each_method_is_its_single_run(name: str) -> None:
    chosen = {} if name == "none" else {name: TRIED.get(name, {})}
    pictures = "pictures" in getattr(factory(NODES.get(name, NODES["l2"]), name)(), "reads", ())
    dataset = digits if pictures else partial(two_moons)
    same(partial(tasks, chosen, 3, dataset=dataset))


@pytest.mark.full
@pytest.mark.parametrize("chosen", [*({name: {}} for name in GROUPED), *OTHERS], ids=str)
def test_replicas_of_all_options(chosen: dict[str, dict[str, Any]]) -> None:
    normalizes = "spectral_normalization" not in chosen  # which changes the scale of normalized layers too
    same(partial(tasks, chosen, 2, batch_norm=normalizes, widths=[64, 128]))
    dropout = 0.2 if {"r_drop", "pi_model"} & chosen.keys() else 0.0
    same(
        partial(tasks, chosen, 5, dropout=dropout, widths=[64, 30]),
        3 if "laplacian_penalty" in chosen else 20,
    )


@pytest.mark.full
@pytest.mark.parametrize("model", [
    {"widths": []}, {"widths": [1]}, {"widths": [7]}, {"widths": [64, 64]},
    {"batch_norm": True, "dropout": 0.4, "widths": [64]},
    *({"activation": name} for name in ("leaky_relu", "tanh", "gelu", "softplus")),
], ids=str)  # fmt: skip
def test_replicas_of_all_models(model: dict[str, Any]) -> None:
    for dataset in (two_moons, digits):
        same(partial(tasks, {"vat": {}, "fgm": {}}, 5, dataset=dataset, **model), steps=30)


def players(chosen: dict[str, dict[str, Any]], replicas: int, **options: Any) -> list[WGAN]:
    """A pair of players for each replica, with other seeds, rates and strengths."""
    adam = [
        partial(torch.optim.Adam, lr=1e-3 * (1 + n), betas=(0.5, 0.9), fused=True) for n in range(replicas)
    ]
    model = partial(MLPGan, widths=[20, 13], generator_widths=[16], **options.pop("model", {}))
    return [
        WGAN(
            dataset=gaussian_ring,
            model=model,
            optimizer=adam[n],
            generator_optimizer=adam[n],
            seed=n,
            regularizer=methods(chosen, n),
            batch_size=9,
            critic_steps=2,
            **options,
        )
        for n in range(replicas)
    ]


@pytest.mark.parametrize(("chosen", "options"), [
    ({"gradient_penalty": {}}, {"ema_decay": 0.9}), ({"weight_clipping": {"bound": 0.1}}, {}),
    ({"gradient_penalty": {"implementation": "double_backward", "one_sided": True}}, {"loss": "hinge"}),
    ({"gradient_penalty": {"interpolate": "across"}}, {"conditional": True, "loss": "hinge"}),
    ({}, {"model": {"activation": "leaky_relu"}}), ({"spectral_normalization": {}, "hidden_noise": {}}, {}),
], ids=str)  # fmt: skip
def test_replicas_of_players(chosen: dict[str, dict[str, Any]], options: dict[str, Any]) -> None:
    same(partial(players, chosen, 3, **options), steps=6)


OPTIMIZERS: dict[str, Callable[[int], Any]] = {
    "AdamW": lambda n: partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1 * n, fused=True),
    "Adam, alike": lambda n: partial(torch.optim.Adam, lr=1e-3, weight_decay=0.1, fused=True),
    "Adam, plain": lambda n: partial(torch.optim.Adam, lr=1e-3 if n else 2e-3, amsgrad=True),
    "SGD": lambda n: partial(torch.optim.SGD, lr=0.1, momentum=0.9 if n else 0.5, fused=True),
    "RMSprop": lambda n: partial(torch.optim.RMSprop, lr=1e-3),
    "anti_pgd": lambda n: partial(anti_pgd, lr=0.01, sigma=0.01 * (1 + n)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replicas_of_each_optimizer(name: str) -> None:
    same(partial(tasks, {}, 3, OPTIMIZERS[name], two_moons))


def test_every_optimizer_that_is_declared_is_tried() -> None:
    declared = {
        target.rpartition(".")[2] for target in groups.constant_of("genreg.optimizer.joint", "REPLICAS")
    }
    assert declared <= {name.partition(",")[0] for name in OPTIMIZERS} | {"pgd"}  # one code with anti_pgd

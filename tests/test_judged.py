"""What follows every optimizer's step, and the weights that are judged, at a learning rate of zero.

Noise and projections are then all that moves a weight.
"""

from functools import partial
from typing import Any

import pytest
import torch
from reviews import pretrain
from seam import OPTIMIZERS, Methods, build, method, optimizer, player, same
from torch import Tensor

from genreg.errors import InputError
from genreg.model.landscape import WideningValley
from genreg.regularizer import Entropy, MeanTeacher, Regularizer
from genreg.regularizer.matrices import linear_layers
from genreg.task.landscape import Minimize

STEPS, BOUND = 3, 0.2
PROJECTING = {
    "weight_clipping": {"bound": BOUND},
    "frobenius_projection": {"bound": BOUND},
    "spectral_projection": {"bound": BOUND, "power_iterations": 100},
}
SIZES = {
    "weight_clipping": lambda model: [p.abs().max() for p in model.parameters()],
    "frobenius_projection": lambda model: [layer.weight.norm() for layer in linear_layers(model)],
    "spectral_projection": lambda model: [
        torch.linalg.matrix_norm(layer.weight, 2) for layer in linear_layers(model)
    ],
}
TASKS = ["classify", "alternate", "wgan"]
PERTURBED = [name for name in OPTIMIZERS if name != "pgd"]  # which has no iterate without noise


def still(by: str, **options: Any) -> Any:
    """A factory of the optimizer with learning rate 0."""
    return partial(optimizer(by, lr=0.0), **options)


def after(task: str, by: str, methods: Methods, **options: Any) -> Any:
    """A task after some steps of learning rate 0; of a classifier one method reads the unlabeled batch."""
    given: dict[str, Any] = {"optimizer": still(by)}
    if task != "classify":
        given["generator_optimizer" if task == "wgan" else "unlabeled_optimizer"] = still(by)
    if task != "wgan":
        methods = {**methods, "entropy": Entropy()}
    made = build(task, methods, **{**given, **options})
    for step in range(STEPS):
        made.step(step)
    return made


def weights(task: Any) -> dict[str, Tensor]:
    """What is saved, but for running statistics."""
    return {name: w for name, w in task.weights().items() if "running" not in name and "num_" not in name}


def assert_near(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name, w in a.items():
        torch.testing.assert_close(w, b[name], rtol=0, atol=2e-7, msg=name)


@pytest.mark.pairs
@pytest.mark.parametrize("by", OPTIMIZERS)
@pytest.mark.parametrize("name", PROJECTING)
@pytest.mark.parametrize("task", TASKS)
def test_a_projection_holds_of_what_is_judged_after_every_step(task: str, name: str, by: str) -> None:
    projects: Regularizer = method(name, **PROJECTING[name])
    made = after(task, by, {name: projects})
    judged = build(task, {name: method(name, **PROJECTING[name])})
    judged.load_weights(made.weights())
    sizes = torch.stack(SIZES[name](player(judged)))
    assert sizes.max() <= BOUND * (1 + 1e-5)
    assert sizes.max() > BOUND * (1 - 1e-5)
    if by != "pgd":
        assert_near(weights(made), weights(after(task, "gd", {name: method(name, **PROJECTING[name])})))


@pytest.mark.pairs
@pytest.mark.parametrize("second", PERTURBED)
@pytest.mark.parametrize("first", PERTURBED)
def test_noise_of_both_optimizers_is_taken_from_what_is_judged(first: str, second: str) -> None:
    made = after("alternate", first, {}, unlabeled_optimizer=still(second))
    assert_near(weights(made), weights(build("alternate")))
    before = {name: p.clone() for name, p in made.model.state_dict().items()}
    made.evaluate()
    assert same(before, made.model.state_dict())


@pytest.mark.parametrize("iterate", ["w", "z"])
def test_each_optimizer_says_what_it_is_judged_by(iterate: str) -> None:
    at_w = {"evaluate_at": "w"}
    made = after("alternate", "anti_pgd", {}, unlabeled_optimizer=still("anti_pgd", **at_w))
    moved = {name: w - weights(made)[name] for name, w in weights(build("alternate")).items()}
    deviations = torch.cat([m.flatten() for m in moved.values()]).std()
    assert deviations == pytest.approx(0.05, rel=0.3)  # one of both noises, of sigma 0.05


@pytest.mark.pairs
@pytest.mark.parametrize("by", PERTURBED)
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_average_of_a_generator_is_without_noise(by: str, decay: float) -> None:
    assert_near(weights(after("wgan", by, {}, ema_decay=decay)), weights(build("wgan")))


@pytest.mark.parametrize("by", PERTURBED)
def test_other_tasks_are_judged_without_noise(by: str) -> None:
    replicas = {"model": partial(WideningValley, d=3, replicas=2)}
    for make in (partial(pretrain, "gru"), partial(Minimize, **replicas)):  # type: ignore[arg-type]
        made, before = (make(optimizer=still(by)) for _ in range(2))
        for step in range(STEPS):
            made.step(step)
        assert_near(weights(made), weights(before))


@pytest.mark.parametrize("task", ["classify", "alternate"])
def test_a_mean_teacher_is_judged_as_its_teacher(task: str) -> None:
    made = build(task, {"a": MeanTeacher(decay=0.8)}, by="adam")
    for step in range(STEPS):
        made.step(step)
    student = {name: w.clone() for name, w in made.model.state_dict().items()}
    teacher = {name: w.clone() for name, w in made.methods["a"].teacher.state_dict().items()}
    assert same(made.weights(), teacher)
    assert not same(student, teacher)
    plain, loaded = build(task), build(task, {"a": MeanTeacher(decay=0.8)})
    plain.model.load_state_dict(teacher)
    loaded.load_weights(made.weights())
    assert made.evaluate() == plain.evaluate() == loaded.evaluate()
    assert same(made.model.state_dict(), student)
    assert same(made.methods["a"].teacher.state_dict(), teacher)


@pytest.mark.parametrize("task", ["classify", "alternate"])
def test_a_teacher_follows_the_iterate_without_noise(task: str) -> None:
    made = after(task, "anti_pgd", {"a": MeanTeacher(decay=0.5)})
    assert_near(weights(made), weights(build(task)))


def test_of_two_teachers_none_is_judged() -> None:
    with pytest.raises(InputError, match="expected one method whose own weights are judged, got 'a and b'"):
        build("classify", {"a": MeanTeacher(), "b": MeanTeacher()})


def test_anti_pgd_under_a_projection_goes_on_where_projected_descent_does() -> None:
    """On a loss without slope in z: noise telescopes although every step is clipped."""
    made = after("classify", "anti_pgd", {"weight_clipping": method("weight_clipping", bound=BOUND)})
    clipped = weights(made)
    made.optimizer.param_groups[0]["sigma"] = 0.0  # the last noise goes, none comes
    made.step(STEPS)
    own = dict(made.model.named_parameters())
    assert_near(own, {name: clipped[name] for name in own})

"""Checks before the first step that what was chosen fits the task."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genreg.dataset import Dataset
from genreg.errors import InputError
from genreg.model.own import classifier
from genreg.model.passes import evaluation_mode
from genreg.model.shared import sharing
from genreg.regularizer import Regularizer
from genreg.regularizer.base import active, overrides
from genreg.run.build import OwnModel, check_reads

NEEDS = {
    "batch": "labeled batch to change",
    "losses": "labeled losses",
    "labeled": "labeled logits",
    "unlabeled": "unlabeled batch",
    "again": "further pass",
    "numbers": "items that come again",
    "classes": "classes",
    "pictures": "pictures",
    "tokens": "table of embeddings (scope=table)",
}
"""Parts of a step that a task may offer to methods, beside what every task does."""


def fitting(model: Callable[..., Any], dataset: Dataset, outputs: int | None = None) -> Any:
    """The model of a factory, made for the data; InputError where one is of texts and the other is not.

    A module of a user's own says by `model.embedding` where it reads texts.
    """
    shape, vocabulary = dataset.input_shape, dataset.vocabulary
    if not (vocabulary and isinstance(model, OwnModel)):
        check_reads(model, vocabulary is not None)
    made = classifier(model, input_shape=shape, outputs=outputs or dataset.outputs, vocabulary=vocabulary)
    return sharing(made)


def check_methods(methods: Mapping[str, Regularizer], offers: frozenset[str], task: str) -> None:
    """InputError for a method that needs what the task has not."""
    for name, method in active(methods).items():
        hooks = (hook for hook in ("batch", "losses") if overrides(method, hook))
        for need in sorted({*method.reads, *hooks} - offers):
            raise InputError(f"regularizer.{name}", f"a method that needs no {NEEDS[need]}, for {task}", name)
    _check_norms(active(methods))
    judged = [name for name, method in active(methods).items() if method.judged]
    if len(judged) > 1:
        raise InputError("regularizer", "one method whose own weights are judged", " and ".join(judged[:2]))


def _check_norms(methods: Mapping[str, Regularizer]) -> None:
    """InputError where a parametrization divides by what another method has just set.

    Of two the outer undoes the inner; a projection would move the raw weight, of which no pass sees the size.
    """
    kinds = ("parametrization", "projection")
    first, second = ([name for name, m in methods.items() if m.sets_norm == kind] for kind in kinds)
    if first and len(first + second) > 1:
        together = " and ".join((first + second)[:2])
        raise InputError("regularizer", "one method that sets the size of the weights", together)


def check_measures(measures: Mapping[str, Any], kind: tuple[type, str], classes: bool = True) -> None:
    """InputError for a measure of another kind of model, or of classes where there are none."""
    for name, measure in measures.items():
        if not isinstance(measure, kind[0]):
            raise InputError(f"measure.{name}", kind[1], f"one of {getattr(measure, 'of', 'another kind')}")
        if getattr(measure, "classes", False) and not classes:
            raise InputError(f"measure.{name}", "a measure that needs no classes, for real targets", name)


def check_items(measures: Mapping[str, Any], dataset: Dataset) -> None:
    """InputError for a measure that is not defined for so few items of a split."""
    for name, measure in measures.items():
        if (items := getattr(measure, "items", measure.least)) < measure.least:
            raise InputError(f"measure.{name}.items", f"{measure.least} or more", items)
        for split in measure.splits:
            if (n := len(getattr(dataset, split))) < measure.least:
                expected = f"splits of {measure.least} items or more"
                raise InputError(f"measure.{name}.splits", expected, f"{split}, which has {n}")


def check_normalization(model: nn.Module, key: str, *one: Any) -> None:
    """InputError, naming what makes batches of one item, where batch normalization sees one number of it.

    one: what the model is given of one item. It is shown in evaluation mode: nothing moves, nothing is drawn.
    """
    alone: list[nn.Module] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if given[0].numel() == given[0].shape[1]:
            alone.append(layer)

    layers = [layer for layer in model.modules() if isinstance(layer, _BatchNorm) and layer.training]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    if hooks:
        with evaluation_mode(model), torch.no_grad():
            model(*one)
    for hook in hooks:
        hook.remove()
    if alone:
        raise InputError(key, "2 or more with batch normalization, since one number has no spread", 1)

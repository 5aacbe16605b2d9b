"""An upper bound on how fast a classifier changes with its input, from the norms of its layers."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.modules.batchnorm import _BatchNorm

from genreg import streams
from genreg.errors import InputError
from genreg.loss import Loss
from genreg.measure.base import ClassifierMeasure, SplitName
from genreg.measure.estimate import Estimate
from genreg.measure.lipschitz import CONTRACTIONS, TOLERANCE, convolution_norm, weight_of
from genreg.model.base import Classifier
from genreg.model.unchanged import evaluation_mode
from genreg.parameters import STRICT
from genreg.run.metric import Metric

GELU = 1.129  # its largest slope is 1.12890 at the square root of 2, or 1.12899 of the approximation by tanh
SUMS = (operator.add, operator.iadd, torch.add)
CONTRACTING = (F.relu, torch.relu, torch.tanh, torch.sigmoid, torch.flatten,
               "relu", "tanh", "sigmoid", "flatten", "reshape", "view", "contiguous")  # fmt: skip
"""Functions and methods of one tensor that lengthen no difference."""


class Chain(nn.Module):
    """A classifier as a function of its embedding alone, for unpadded input."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, embedding: Tensor) -> Tensor:
        outputs: Tensor = self.model(embedding=embedding)
        return outputs


class Layers(fx.Tracer):
    """Traces a model down to torch's own layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)


def traced(model: Classifier) -> fx.GraphModule:
    """The model's graph; InputError for one whose layers cannot be told from its code."""
    chain = Chain(model)
    try:
        return fx.GraphModule(chain, Layers().trace(chain))
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("measure.lipschitz_upper", "a model that torch.fx can trace", said) from error


def upper_bound(model: Classifier, e: Tensor, generator: torch.Generator) -> float:
    """A bound on |f(a) - f(b)| / |a - b|, l2 to l2, for any two embeddings of e's shape, in evaluation mode.

    Norms multiply along a path and add where paths meet, so that a residual branch of norm L counts 1 + L.
    InputError names the first layer without a known norm.
    """
    with evaluation_mode(model), torch.no_grad():
        graph = traced(model)
        ShapeProp(graph).propagate(e[:1])
        slopes: dict[fx.Node, float] = {}
        for node in graph.graph.nodes:
            slopes[node] = _slope(node, slopes, graph, generator)
            if node.op == "output":
                return slopes[node]
    raise AssertionError("a graph without an output")


def _slope(
    node: fx.Node, slopes: dict[fx.Node, float], graph: fx.GraphModule, generator: torch.Generator
) -> float:
    """A bound on the slope of what a node holds, given those of what it reads."""
    read = [argument for argument in node.args if isinstance(argument, fx.Node)]
    if node.op in ("placeholder", "get_attr"):
        return float(node.op == "placeholder")
    if node.op == "output" or (node.target in SUMS and not node.kwargs):
        return sum(slopes[argument] for argument in read)
    if "tensor_meta" not in node.meta and node.target not in ("item", "tolist"):
        return 0.0  # a size, which no difference changes
    given = [argument for argument in node.all_input_nodes if "tensor_meta" in argument.meta]
    if len(given) != 1:
        raise unknown(node.target)
    before = given[0]
    shape = tuple(before.meta["tensor_meta"].shape[1:])
    if node.op == "call_module":
        return slopes[before] * layer_norm(graph.get_submodule(str(node.target)), shape, generator)
    if node.target == "mean":
        return slopes[before] / math.sqrt(_averaged(node, shape))
    if node.target not in CONTRACTING:
        raise unknown(node.target)
    return slopes[before]


def _averaged(node: fx.Node, shape: tuple[int, ...]) -> int:
    """Over how many numbers of an item a mean is taken."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    dims = [dims] if isinstance(dims, int) else dims
    if not isinstance(dims, list | tuple) or 0 in dims:
        raise unknown("mean over a batch")
    return math.prod((0, *shape)[dim] for dim in dims)


def layer_norm(layer: nn.Module, shape: Sequence[int], generator: torch.Generator) -> float:
    """A bound on the slope of one layer of torch's, given items of that shape; InputError without one."""
    if isinstance(layer, nn.Linear):
        return float(torch.linalg.matrix_norm(weight_of(layer), 2))
    if isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros":
        return convolution_norm(layer, shape, generator) * math.sqrt(1 + TOLERANCE)  # Lanczos stays below
    if isinstance(layer, _BatchNorm) and layer.running_var is not None:
        scale = weight_of(layer).abs() if layer.affine else 1.0
        return (scale * (layer.running_var.double() + layer.eps).rsqrt()).max().item()
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) and _plain(layer):
        windows, size = _windows(layer)
        return math.sqrt(windows if isinstance(layer, nn.MaxPool2d) else windows / size)
    if isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1)):
        return 1 / math.sqrt(math.prod(shape[1:]))
    if isinstance(layer, nn.LeakyReLU):
        return max(1.0, abs(layer.negative_slope))
    if isinstance(layer, nn.GELU):
        return GELU
    if isinstance(layer, (*CONTRACTIONS, nn.Softplus)):
        return 1.0
    raise unknown(type(layer).__name__)


def _plain(layer: nn.MaxPool2d | nn.AvgPool2d) -> bool:
    """Whether every window is a block of inputs, and an average is over all of it."""
    if isinstance(layer, nn.AvgPool2d) and (any(_pair(layer.padding)) or layer.divisor_override):
        return False
    return not layer.ceil_mode and set(_pair(getattr(layer, "dilation", 1))) == {1}


def _windows(layer: nn.MaxPool2d | nn.AvgPool2d) -> tuple[int, int]:
    """How many windows of a pooling an input may stand in, and how many inputs a window has."""
    pairs = [_pair(layer.kernel_size), _pair(layer.stride)]
    return math.prod(-(-k // s) for k, s in zip(*pairs, strict=True)), math.prod(pairs[0])


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else tuple(value)


def unknown(target: Any) -> InputError:
    name = getattr(target, "__name__", str(target))
    return InputError("measure.lipschitz_upper", "layers whose norm is known (docs/measures.md)", name)


@dataclass(config=STRICT, kw_only=True)
class LipschitzUpper(ClassifierMeasure):
    """`upper_bound` of the logits in `embed(x)`. It depends on no item, and has no standard error (0).

    splits: under whose name it is written.
    """

    metric = Metric("lipschitz_upper", "min")

    splits: list[SplitName]

    def __call__(self, model: Classifier, x: Tensor, y: Tensor, loss: Loss | None = None) -> Estimate:
        draw = streams.generator(0, "measure/lipschitz_upper", device=x.device)
        return Estimate(upper_bound(model, model.embed(x[:1]).detach(), draw), 0.0, 1)

    def check(self, model: Classifier, x: Tensor) -> None:
        self(model, x, x)

"""An upper bound on how fast a classifier changes with its input, from the norms of its layers."""

import math
import operator

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from genreg import streams
from genreg.errors import InputError
from genreg.loss import Loss
from genreg.measure.base import ClassifierMeasure, Estimate, SplitName
from genreg.measure.lipschitz import layer_norm, unknown
from genreg.model.base import Classifier
from genreg.model.passes import evaluation_mode
from genreg.parameters import STRICT
from genreg.run.metric import Metric

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
    """The number of entries of an item over which a mean is taken."""
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    dims = [dims] if isinstance(dims, int) else dims
    if not isinstance(dims, list | tuple) or 0 in dims:
        raise unknown("mean over a batch")
    return math.prod((0, *shape)[dim] for dim in dims)


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

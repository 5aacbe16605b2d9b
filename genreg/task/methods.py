"""What every task does with the methods under study, apart from their place in the update."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genreg.forward.update import uncounted
from genreg.regularizer import Regularizer
from genreg.regularizer.base import active, check_state, overrides

Methods = dict[str, Regularizer]


def attach(methods: Mapping[str, Regularizer], model: nn.Module) -> Methods:
    """Attach the methods that do anything to a model; they come in the order in which they run.

    Each draws the same random numbers as if it were alone and moves nothing of another, although torch reads
    a weight when it registers a second parametrization. Those that keep something (a teacher) are attached
    last, so that their copy of the model has what all others attached. Raises InputError for a method whose
    state no checkpoint would hold.
    """
    chosen = active(methods)
    for name, method in sorted(chosen.items(), key=lambda item: bool(item[1].keeps)):
        method.name = name
        with torch.random.fork_rng(devices=[]), uncounted():
            method.attach(model)
        check_state(name, method)
    return chosen


def with_hook(methods: Methods, hook: str) -> Methods:
    """The methods that have that hook of their own."""
    return {name: method for name, method in methods.items() if overrides(method, hook)}


def saved(methods: Methods) -> dict[str, Any]:
    """The state of every method that keeps any, for a checkpoint."""
    for name, method in methods.items():
        check_state(name, method)
    return {name: state for name, method in methods.items() if (state := method.state_dict())}


def load(methods: Methods, states: Mapping[str, Any], device: torch.device) -> None:
    """Take up what `saved` gave, on the device of the run."""
    for name, state in states.items():
        methods[name].load_state_dict(_moved(state, device))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(node, device) for key, node in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(node, device) for node in value)
    return value

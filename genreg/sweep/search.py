"""Trials proposed by a sampler of optuna, which sees how those before went."""

import logging
import math
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from genreg.errors import InputError, nearest
from genreg.sweep.tune import OWN, Range, Space, Told, Tune, Values, short

SUITABLE = ("TPESampler", "CmaEsSampler", "GPSampler", "QMCSampler", "RandomSampler")
"""Samplers of optuna that need nothing but a seed: its others take values of their own, or several scores."""

NEEDS = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}


def check_sampler(key: str, name: str) -> None:
    """InputError for a sampler that is unknown, unsuitable or not installed."""
    known = (*OWN, *SUITABLE)
    if name not in known:
        raise InputError(key, f"one of {', '.join(known)}", name, nearest(name, known))
    try:
        import optuna
    except ImportError as error:
        raise InputError(key, "sobol or grid, or pip install '.[optuna]'", name) from error
    if not hasattr(optuna.samplers, name):
        raise InputError(key, f"a sampler of optuna {optuna.__version__}, which is installed", name)
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        raise InputError(key, f"another, or pip install {NEEDS[name]}", name)


def asked(tune: Tune, space: Space, told: Sequence[Told], best: str) -> list[Values]:
    """The points of the trials told of, and of the next one: the sampler is asked anew from the first on.

    So a search that was stopped goes on with the same trials.
    """
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    sampler = getattr(optuna.samplers, tune.sampler)(seed=0)
    study = optuna.create_study(direction="maximize" if best == "max" else "minimize", sampler=sampler)
    points: list[Values] = []
    for number in range(min(len(told) + 1, tune.trials)):
        trial = study.ask()
        points.append({key: _suggested(trial, key, axis) for key, axis in space.items()})
        if number < len(told):
            score = told[number][1]
            lost = math.isnan(score)
            state = optuna.trial.TrialState
            study.tell(trial, None if lost else score, state.FAIL if lost else state.COMPLETE)
    return points


def _suggested(trial: Any, key: str, axis: Range | list[Any]) -> Any:
    if isinstance(axis, Range):
        return short(trial.suggest_float(key, axis.low, axis.high, log=axis.log))
    return axis[trial.suggest_categorical(key, range(len(axis)))]

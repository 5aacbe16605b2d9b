"""Trials proposed by a sampler of optuna, which sees how those before went."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from genreg.errors import InputError, nearest
from genreg.sweep.tune import Range, Space, Told, Tune, Values, short


def asked(tune: Tune, space: Space, told: Sequence[Told], best: str) -> list[Values]:
    """The points of the trials told of, and of the next one: the sampler is asked anew from the first on.

    So a search that was stopped goes on with the same trials. InputError for an unknown sampler.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("tune.sampler", "sobol or grid, or pip install '.[optuna]'", tune.sampler) from error
    names = ["sobol", "grid", *(name for name in optuna.samplers.__all__ if name != "BaseSampler")]
    if tune.sampler not in names:
        raise InputError(
            "tune.sampler", "sobol, grid or one of optuna's", tune.sampler, nearest(tune.sampler, names)
        )
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

"""Tuning before a comparison: the same number of trials for every arm, each in a space of its own."""

import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from genreg.errors import InputError, extra, nearest
from genreg.parameters import STRICT, Count, CountOrZero, Number, blame
from genreg.study.check import check_select
from genreg.study.model import Tuning
from genreg.study.until import LOOKS, Until, read_until

TUNING_SEEDS = 1000
"""The first seed of tuning where a file says only how many: far from those of a comparison."""

TRIALS = 1000
"""Trials of an arm at most, and seeds of each where a file says only how many."""

EVERY = "*"
"""In `space`: keys that every arm has."""

OWN = ("sobol", "grid")
"""The samplers that need no optuna."""

DRAWS = 100  # quasi-random points for each trial wanted, before a space of lists is called too small

Values = dict[str, Any]
Scored = tuple[Values, float]
"""A trial that is over: its values and its mean; NaN of one that failed."""


@dataclass(config=STRICT, kw_only=True)
class Range:
    """Numbers from low to high, low below high; uniform in their logarithm if `log`, and above 0."""

    low: Number
    high: Number
    log: bool = False

    def at(self, share: float) -> float:
        """The number at a share of the way, with three significant digits."""
        if not self.log:
            return short(self.low + share * (self.high - self.low))
        return short(math.exp(math.log(self.low) + share * math.log(self.high / self.low)))


Axis = Range | list[Any]
Space = dict[str, Axis]


@dataclass(config=STRICT, kw_only=True)
class Tune:
    """The tuning of each arm of a part.

    trials: of every arm. seeds: a number, counted from 1000, or a list; none that the comparison has. metric:
    of validation, by default the one that selects the step; its mean over the seeds decides. space: of each
    arm (`*`: of all) the keys that vary, each a list of values or {low, high, log}. sampler: sobol
    (quasi-random), grid, or a sampler of optuna by its name, which sees the trials before. studies: how often
    all of it is done, each time with other points and seeds, and then compared: a number, or how studies are
    added until the comparison is decided. fresh: seeds of the comparison in each study.
    """

    trials: Annotated[Count, Field(le=TRIALS)]
    seeds: Annotated[Count, Field(le=TRIALS)] | list[CountOrZero]
    space: dict[str, Space]
    metric: str | None = None
    sampler: str = "sobol"
    studies: Annotated[Count, Field(le=LOOKS)] | Until | None = None
    fresh: Count | None = None

    @property
    def most(self) -> int:
        """Studies at most."""
        return self.studies.plan[-1] if isinstance(self.studies, Until) else self.studies or 1

    @property
    def own_seeds(self) -> list[int]:
        """The tuning seeds, of the first study."""
        if isinstance(self.seeds, list):
            return self.seeds
        return list(range(TUNING_SEEDS, TUNING_SEEDS + self.seeds))

    def seeds_in(self, study: int) -> list[int]:
        """The tuning seeds of a study: those of the first, moved on by the range that they take."""
        length = max(self.own_seeds) - min(self.own_seeds) + 1
        return [seed + study * length for seed in self.own_seeds]

    def space_of(self, arm: str) -> Space:
        return {**self.space.get(EVERY, {}), **self.space.get(arm, {})}

    def of(self, arm: str, study: int = 0) -> Tuning:
        """The tuning of one arm in a study, before its first trial."""
        axes = self.space_of(arm).items()
        space = {key: axis if isinstance(axis, list) else asdict(axis) for key, axis in axes}
        return Tuning(self.metric or "", self.trials, self.seeds_in(study), space, self.sampler)


def read_tune(key: str, node: Any) -> Tune:
    """The checked content of a part's `tune`; InputError names the first bad key."""
    if not isinstance(node, dict):
        raise InputError(key, "trials, seeds and a space", node)
    space = node.get("space")
    if not isinstance(space, dict) or not all(isinstance(own, dict) for own in space.values()):
        raise InputError(f"{key}.space", "the keys of each arm, or of all (*)", space)
    read = {
        arm: {k: _axis(f"{key}.space.{arm}.{k}", axis) for k, axis in own.items()}
        for arm, own in space.items()
    }
    given = node.get("studies")
    if given is not None and not isinstance(given, int):
        given = read_until(f"{key}.studies", given)
    with blame(key, Tune):
        tune = Tune(**{**node, "space": read, "studies": given})
    if len(set(tune.own_seeds)) < len(tune.own_seeds) or not tune.own_seeds:
        raise InputError(f"{key}.seeds", "at least one seed, and none twice", tune.own_seeds)
    if tune.fresh is not None and tune.studies is None:
        raise InputError(f"{key}.fresh", "none without studies: seeds of the part say it", tune.fresh)
    return tune


def _axis(key: str, node: Any) -> Axis:
    if isinstance(node, dict):
        with blame(key, Range):
            axis = Range(**node)
        if axis.low >= axis.high or (axis.log and axis.low <= 0):
            given = f"{axis.low:g} to {axis.high:g}"
            raise InputError(key, "low below high, and above 0 if log", given)
        return axis
    if not isinstance(node, list) or not node:
        raise InputError(key, "a list of values, or low and high", node)
    check_once(key, node)
    return node


def check_once(key: str, values: Sequence[Any]) -> None:
    """InputError for a list that has a value twice, however a number was typed; true is no number."""
    typed = [(isinstance(value, bool), value) for value in values]
    twice = [value for place, (_, value) in enumerate(typed) if typed[place] in typed[:place]]
    if twice:
        raise InputError(key, "no value twice", twice[0])


def check_tune(key: str, tune: Tune, arms: Sequence[str], seeds: Sequence[int]) -> None:
    """InputError unless every arm has a space with as many trials, and seeds that the comparison has not."""
    if tune.metric is None:
        raise InputError(f"{key}.metric", "a validation metric, where the part has no select")
    check_select(tune.metric, f"{key}.metric")
    if tune.sampler not in OWN:
        check_sampler(f"{key}.sampler", tune.sampler)
    own = {seed for study in range(tune.most) for seed in tune.seeds_in(study)}
    if both := sorted(own & set(seeds)):
        what = (
            "none of the comparison's seeds, in any study"
            if tune.studies
            else "none of the comparison's seeds"
        )
        raise InputError(f"{key}.seeds", what, ", ".join(map(str, both)))
    for name in tune.space:
        if name not in (EVERY, *arms):
            raise InputError(f"{key}.space", f"arms of the part, or {EVERY}", name, nearest(name, arms))
    for arm in arms:
        if not tune.space_of(arm):
            raise InputError(f"{key}.space.{arm}", f"a space for {tune.trials} trials, as every arm has")
        next_points(f"{key}.space.{arm}", tune, tune.space_of(arm), [])


def next_points(
    key: str, tune: Tune, space: Space, over: Sequence[Scored], best: str = "max", study: int = 0
) -> list[Values]:
    """The points of the trials so far and of those to make next, a function of its arguments alone.

    over: the trials that are over, in order; only optuna's samplers look at it. best: max or min. study: each
    has points of its own, but for a grid. InputError for a space that has not as many points as trials.
    """
    if tune.sampler == "grid":
        return _grid(key, tune.trials, space)
    if tune.sampler == "sobol":
        found = list(itertools.islice(_distinct(space, DRAWS * tune.trials, study), tune.trials))
        if len(found) < tune.trials:
            raise InputError(key, f"{tune.trials} trials, as every arm has", f"{len(found)} different points")
        return found
    return _ask_optuna(tune, space, over, best, study)


def _grid(key: str, trials: int, space: Space) -> list[Values]:
    lists = {name: axis for name, axis in space.items() if isinstance(axis, list)}
    if ranges := [name for name in space if name not in lists]:
        raise InputError(f"{key}.{ranges[0]}", "a list of values: a grid has no ranges", "low and high")
    found = [dict(zip(lists, point, strict=True)) for point in itertools.product(*lists.values())]
    if len(found) != trials:
        raise InputError(key, f"{trials} trials, as every arm has", f"a grid of {len(found)}")
    return found


def _distinct(space: Space, most: int, study: int) -> Iterator[Values]:
    """Points of a scrambled Sobol sequence, each once; the same for spaces that vary the same keys alike."""
    from scipy.stats import qmc

    sobol = qmc.Sobol(len(space), rng=study)
    seen: list[Values] = []
    for shares in sobol.random_base2(math.ceil(math.log2(most))):
        point = {
            name: _at(axis, float(share)) for (name, axis), share in zip(space.items(), shares, strict=True)
        }
        if point not in seen:
            seen.append(point)
            yield point


def _at(axis: Axis, share: float) -> Any:
    return axis.at(share) if isinstance(axis, Range) else axis[int(share * len(axis))]


def short(value: float) -> float:
    """With three significant digits."""
    return float(f"{value:.3g}")


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
        raise InputError(key, f"sobol or grid, or {extra('optuna')}", name) from error
    if not hasattr(optuna.samplers, name):
        raise InputError(key, f"a sampler of optuna {optuna.__version__}, which is installed", name)
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        raise InputError(key, f"another, or pip install {NEEDS[name]}", name)


def _ask_optuna(tune: Tune, space: Space, over: Sequence[Scored], best: str, study: int) -> list[Values]:
    """The points of the trials that are over and of the next: the sampler is asked anew from the first on.

    So a search that was stopped goes on with the same trials.
    """
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    sampler = getattr(optuna.samplers, tune.sampler)(seed=study)
    search = optuna.create_study(direction="maximize" if best == "max" else "minimize", sampler=sampler)
    points: list[Values] = []
    for number in range(min(len(over) + 1, tune.trials)):
        trial = search.ask()
        points.append({key: _suggested(trial, key, axis) for key, axis in space.items()})
        if number < len(over):
            score = over[number][1]
            lost = math.isnan(score)
            state = optuna.trial.TrialState
            search.tell(trial, None if lost else score, state.FAIL if lost else state.COMPLETE)
    return points


def _suggested(trial: Any, key: str, axis: Range | list[Any]) -> Any:
    if isinstance(axis, Range):
        return short(trial.suggest_float(key, axis.low, axis.high, log=axis.log))
    return axis[trial.suggest_categorical(key, range(len(axis)))]

"""Finds what the runs of a part differ in beside their method: data, and keys of their configurations."""

import json
from collections.abc import Collection, Iterable, Iterator

from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.read.data import NEUTRAL, Data, changed, files_of, flat, in_full, settings_of, short
from genreg.report.read.parts import Arm, Part, same_data
from genreg.report.tell.numbers import seeds_in_words
from genreg.run.folder import Row, printable
from genreg.run.identity import PLUMBING, normal

METHOD = ("regularizer", "optimizer", "generator_optimizer", "unlabeled_optimizer", "scheduler",
          "task._target_")  # fmt: skip
"""What arms may differ in without a word: the methods under study, and how weights are moved."""

NO_MATTER = ("name", "measure", "features", "log_every", "task.frames", *PLUMBING)
"""What changes no result, or is told elsewhere: features stand in the rows."""


def beside_method(result: PartResult, base: ArmResult | None) -> Iterator[str]:
    """A line for each arm that left runs out, one where data differ, one where configurations do."""
    for arm in result.part.arms:
        yield from _left_out(arm)
        yield from _tuned_elsewhere(arm)
    if base and any(arm.apart for arm in result.arms):
        groups = same_data(result.part.arms)
        called = zip(in_full([data for data, _ in groups]), groups, strict=True)
        each = "; ".join(f"{label} in {_names(arms)}" for label, (_, arms) in called)
        yield f"arms read different data ({each}): only those of the data of {base.arm.name} are compared"
    if found := [f"{key} ({words})" for key, words in _other_keys(result.part)]:
        yield f"arms differ in more than their method: {', '.join(found)}"


def _left_out(arm: Arm) -> Iterator[str]:
    """The runs of an arm that read other files than its newest."""
    if not arm.other:
        return
    seeds: dict[str, list[int]] = {}
    names: dict[str, None] = {}
    for seed, run in sorted(arm.other.items()):
        read = files_of(run.folder.starts())
        for name in changed([Data(None, read), Data(None, arm.files)]):
            names[name] = None
            seeds.setdefault(short(name, read[name]), []).append(seed)
    old = "; ".join(f"{file} in {seeds_in_words(of)}" for file, of in seeds.items())
    new = ", ".join(short(name, arm.files[name]) for name in names)
    yield f"{arm.name}: {len(arm.other)} runs of other data are left out ({old}; the newest run has {new})"


def _tuned_elsewhere(arm: Arm) -> Iterator[str]:
    """The files that were others when an arm was tuned."""
    tried = [Data(None, files_of(run.folder.starts())) for run in arm.tried]
    if files := changed([Data(None, arm.files), *tried]):
        yield f"{arm.name}: not all trials and runs read the same {', '.join(files)}: tuned on other data"


def _other_keys(part: Part) -> Iterator[tuple[str, str]]:
    """Each key in which arms differ, and its values: the most common one, and in which arms it is another.

    Not those that every arm's values name, or that were tuned; of other options of a group the option alone.
    """
    told = set.intersection(*(set(arm.values) for arm in part.arms))
    told |= {key for arm in part.arms if arm.tuning for key in arm.tuning.space}
    options = {(arm.data.settings or {}).get("dataset._target_") for arm in part.arms if arm.config}
    told |= {"dataset"} if len(options) > 1 else set()
    configs = {arm.name: _keys(arm.config) for arm in part.arms if arm.config}
    for key in sorted({key for config in configs.values() for key in config}):  # a group before what is in it
        arms: dict[str, list[str]] = {}
        for name, config in configs.items():
            arms.setdefault(json.dumps(config.get(key), default=str), []).append(name)
        if len(arms) > 1 and not _within(key, told):
            told.add(key)
            most = max(arms, key=lambda value: len(arms[value]))
            others = (f"{_plain(value)} in {', '.join(own)}" for value, own in arms.items() if value != most)
            yield printable(key), f"{_plain(most)}, but {'; '.join(others)}"


def _keys(config: Row) -> Row:
    """Values that may matter beside method and data, by dotted keys; a group's option under its key."""
    found = NEUTRAL | flat(normal(config))
    data = settings_of(config) or {}
    return {
        key.removesuffix("._target_"): str(value).rpartition(".")[2] if key.endswith("._target_") else value
        for key, value in found.items()
        if key not in data and not _within(key, (*METHOD, *NO_MATTER))
    }


def _within(key: str, others: Collection[str]) -> bool:
    """True if a key is one of the others, or lies below one."""
    return any(key == other or key.startswith(f"{other}.") for other in others)


def _plain(value: str) -> str:
    """JSON as one types it."""
    return printable(value.strip('"'))


def _names(arms: Iterable[Arm]) -> str:
    return ", ".join(arm.name for arm in arms)

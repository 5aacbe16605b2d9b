"""Notes below a table: runs that are missing, other differences between arms, reasons to doubt."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence

from genreg.report.judge.result import ArmResult, PartResult
from genreg.report.output.numbers import seeds_in_words
from genreg.report.output.tuned import tuned
from genreg.report.read.values import Outcomes
from genreg.run.code import file_of, recorded
from genreg.run.folder import Row, printable
from genreg.run.identity import PLUMBING, completed, normal
from genreg.run.metric import Metric, in_words, metric_of
from genreg.run.read import Data, changed, files_of, flat, in_full, remarks, settings_of, short
from genreg.study.model import EACH, Arm, Part, same_data


def notes(result: PartResult, base: ArmResult | None) -> list[str]:
    """One line for each thing that a reader of the table must know. base: the baseline, if there is one."""
    part = result.part
    found = [
        *_all_failed(part),
        *part.notes,
        *remarks(run for arm in part.arms for run in (*arm.runs.values(), *arm.other.values(), *arm.tried)),
        *_looks(part),
        *_family(result),
        *_margin(part),
        *_labels(result),
        *_contradictions(part),
        *_codes(part),
        *other_differences(result, base),
    ]
    if not base:
        found.append(f"no arm is called {part.baseline} (the baseline): nothing is compared")
    elif not base.values and not base.outcomes.failed:
        found.append(f"the baseline {part.baseline} has no finished run: nothing is compared")
    for arm in result.arms:
        found += [f"{arm.arm.name}: {tuned(arm)}"] if arm.tuning else []
        found += run_notes(arm)
        done = len(arm.arm.done)
        if done and not arm.of_runs.values:
            found.append(f"{arm.arm.name}: no run has {part.metric}")
        added = part.looks and part.planned  # an arm that is decided gets no more seeds
        if (
            base
            and base.values
            and not (added or arm.apart)
            and (alone := _alone(arm.outcomes, base.outcomes))
        ):
            both = f"{arm.arm.name} and {part.baseline}"
            words = seeds_in_words(alone, part.unit, part.unit_plural)
            found.append(f"{both} differ in {words}: only common ones are paired")
    if not result.metric.better:
        found.append(f"no run says which way {part.metric} is better: arms are only said to differ")
    if result.metric.chooses:
        orders = " (and orders the arms)" if result.metric.better else ""
        found.append(f"{part.metric} chose the steps{orders}: report a test metric, with other seeds")
    return found


METHOD = ("regularizer", "optimizer", "generator_optimizer", "unlabeled_optimizer", "scheduler",
          "task._target_")  # fmt: skip
"""Keys in which arms may differ without a note: the methods under study, and how weights are moved."""
NO_MATTER = ("name", "measure", "features", "log_every", "task.frames", *PLUMBING)
"""Keys that change no result, or that another note is about: rows name their features."""


def other_differences(result: PartResult, base: ArmResult | None) -> Iterator[str]:
    """Notes on differences other than the method: runs left out, other data, other configurations."""
    for arm in result.part.arms:
        yield from _left_out(arm)
        yield from _tuned_elsewhere(arm)
    if base and any(arm.arm.data.differs(base.arm.data) for arm in result.arms):
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
        read = files_of(run.starts)
        for name in changed([Data(None, read), Data(None, arm.files)]):
            names[name] = None
            seeds.setdefault(short(name, read[name]), []).append(seed)
    old = "; ".join(f"{file} in {seeds_in_words(of)}" for file, of in seeds.items())
    new = ", ".join(short(name, arm.files[name]) for name in names)
    yield f"{arm.name}: {len(arm.other)} runs of other data are left out ({old}; the newest run has {new})"


def _tuned_elsewhere(arm: Arm) -> Iterator[str]:
    """The files that were others when an arm was tuned."""
    tried = [Data(None, files_of(run.starts)) for run in arm.tried]
    if files := changed([Data(None, arm.files), *tried]):
        yield f"{arm.name}: not all trials and runs read the same {', '.join(files)}: tuned on other data"


def _other_keys(part: Part) -> Iterator[tuple[str, str]]:
    """Keys in which arms differ, each with its most common value and the arms in which it is another.

    Not those that every arm's values name, or that were tuned; of other options of a group the option alone.
    """
    known = set.intersection(*(set(arm.values) for arm in part.arms))
    known |= {key for arm in part.arms if arm.tuning for key in arm.tuning.space}
    options = {(arm.data.settings or {}).get("dataset._target_") for arm in part.arms if arm.config}
    known |= {"dataset"} if len(options) > 1 else set()
    configs = {arm.name: _keys(arm.config) for arm in part.arms if arm.config}
    for key in sorted({key for config in configs.values() for key in config}):  # a group before what is in it
        arms: dict[str, list[str]] = {}
        for name, config in configs.items():
            arms.setdefault(json.dumps(config.get(key), default=str), []).append(name)
        if len(arms) > 1 and not _within(key, known):
            known.add(key)
            most = max(arms, key=lambda value: len(arms[value]))
            others = (f"{_typed(value)} in {', '.join(own)}" for value, own in arms.items() if value != most)
            yield printable(key), f"{_typed(most)}, but {'; '.join(others)}"


def _keys(config: Row) -> Row:
    """Values that may matter other than method and data, by dotted keys; a group's option under its key."""
    found = flat(completed(normal(config)))
    data = settings_of(config) or {}
    return {
        key.removesuffix("._target_"): str(value).rpartition(".")[2] if key.endswith("._target_") else value
        for key, value in found.items()
        if key not in data and not _within(key, (*METHOD, *NO_MATTER))
    }


def _within(key: str, others: Collection[str]) -> bool:
    """True if a key is one of the others, or lies below one."""
    return any(key == other or key.startswith(f"{other}.") for other in others)


def _typed(value: str) -> str:
    """A value in JSON, as one types it."""
    return printable(value.strip('"'))


def _names(arms: Iterable[Arm]) -> str:
    return ", ".join(arm.name for arm in arms)


def _all_failed(part: Part) -> list[str]:
    """A note on a part of which every run failed: why the first did, and what to do."""
    runs = list(part.runs())
    if not runs or any(run.status != "failed" for run in runs):
        return []
    reason = next(iter(runs[0].reason.splitlines()), "")
    again = "the same sweep with other values, or these runs again with hydra.launcher.retry_failed=true"
    return [f"all {len(runs)} runs failed, so there is nothing to compare: {reason}. Next: {again}"]


def _looks(part: Part) -> list[str]:
    """A note on how the seeds came about, where they were not all planned at once."""
    if not part.looks:
        return []
    at = f"looks at {numbers(part.looks)}"
    if part.planned:
        how = f"{part.unit_plural} are added until every comparison is decided: {at}"
        return [f"{how}; p accounts for all looks, and an interval is at the level of the last look"]
    how = f"the number of {part.unit_plural} was changed by hand when results could be seen: {at}"
    return [f"{how}; p accounts for these looks, not for others that might have followed"]


def _family(result: PartResult) -> list[str]:
    """A note on the comparisons that are corrected together, where there are several data sets."""
    part = result.part
    if not part.group or not result.family:
        return []
    if part.family == EACH:
        return [f"p: Holm over the {result.family} comparisons of this data set alone (family: each)"]
    return [f"p: Holm over all {result.family} comparisons of {part.group}, its data sets together"]


def _margin(part: Part) -> list[str]:
    if part.margin is None:
        return []
    value, unit = part.margin
    return [
        f"a difference below {value:g}{' points' if unit == 'points' else ''} is not worth having (margin)"
    ]


def numbers(found: Sequence[int]) -> str:
    """`5, 6, ..., 20` of neighbors, else each."""
    if len(found) > 4 and list(found) == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}, {found[1]}, ..., {found[-1]}"
    return ", ".join(map(str, found))


def _alone(arm: Outcomes, base: Outcomes) -> list[int]:
    """The seeds with a value whose counterpart neither finished nor failed."""
    alone = {k for one, other in ((arm, base), (base, arm)) for k in one.values if not other.knows(k)}
    return sorted({seed for seed, _ in alone})


def _labels(result: PartResult) -> list[str]:
    """Notes on the conditions that rows name (as features), and where these are not the same."""
    found: dict[str, set[str]] = {}
    for run in (run for arm in result.arms if not arm.apart for run in arm.arm.done):
        for name, value in (run.last or {}).items():
            if isinstance(value, str):
                found.setdefault(name, set()).add(printable(value))
    return [
        f"{name}: {', '.join(sorted(values))}" + (" (they differ: not comparable)" if len(values) > 1 else "")
        for name, values in sorted(found.items())
    ]


def _contradictions(part: Part) -> list[str]:
    """The metrics that runs describe in different ways."""
    found: dict[str, dict[Metric, None]] = {}  # in the order in which they were said
    for metrics in part.described:
        for name in metrics:
            found.setdefault(name, {})[metric_of(name, metrics)] = None
    return [
        printable(f"{name}: runs disagree on what it is ({'; '.join(map(_said, said))}), the first is used")
        for name, said in sorted(found.items())
        if len(said) > 1
    ]


def _codes(part: Part) -> list[str]:
    """The code that is not the same in all runs that used it."""
    found: dict[str, dict[str, set[str]]] = {}
    for arm in part.arms:
        for run in arm.done:
            for _, module, digest in recorded(run.starts):
                found.setdefault(module, {}).setdefault(digest, set()).add(arm.name)
    return [
        printable(f"{file_of(module)} was not the same code in all runs ({_versions(digests)})")
        for module, digests in sorted(found.items())
        if len(digests) > 1
    ]


def _versions(digests: dict[str, set[str]]) -> str:
    return "; ".join(
        f"{digest if digest.startswith('torch ') else digest[:8]} in {', '.join(sorted(names))}"
        for digest, names in sorted(digests.items())
    )


def _said(metric: Metric) -> str:
    return in_words(metric) + (f", in {metric.unit}" if metric.unit else "")


def run_notes(result: ArmResult) -> list[str]:
    """The runs of an arm that gave no value, by what became of them."""
    reasons: dict[str, list[int]] = {}
    for run in result.arm.runs.values():
        if run.status != "done":
            said = f"{run.status} ({run.reason})"
            word = {"failed": said, "broken": said, "damaged": "damaged summary.json",
                    "half-written": "no summary.json yet"}.get(run.status, run.status)  # fmt: skip
            reasons.setdefault(word, []).append(run.seed)
    dead = result.failed - len(result.arm.failed)
    replicas = any(replica is not None for _, replica in result.outcomes.failed)
    what = "replicas died" if replicas else "values are not finite"
    notes = [f"{result.arm.name}: {dead} {what} and are left out of the mean"] if dead else []
    lost = (
        f"{result.arm.name}, {seeds_in_words(sorted(seeds))}: {reason}" for reason, seeds in reasons.items()
    )
    return [*notes, *lost]

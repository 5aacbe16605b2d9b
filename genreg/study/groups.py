"""Jobs that may be trained as one tensor program: those that differ in their seed and in declared numbers."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal

from genreg.run.factory import KEYED
from genreg.run.identity import Config, normal
from genreg.run.sources import attribute_of, constant_of
from genreg.study.job import Job

LEAST, MOST = 4, 32
"""Runs of a group by `auto`: fewer gain nothing, more gain little and hold more memory."""

Replicas = int | Literal["auto"]


def grouped(jobs: Sequence[Job], replicas: Replicas, workers: int) -> list[list[int]]:
    """The numbers of the jobs that each worker takes at a time, groups of jobs before single ones.

    replicas: the most runs of a group. Groups are cut so that no worker is left without one.
    """
    if replicas == 1:
        return [[number] for number in range(len(jobs))]
    alike: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        key = f"{number}" if reason(job.config) else _key(job)
        alike.setdefault(key, []).append(number)
    least, most = (LEAST, MOST) if replicas == "auto" else (2, replicas)
    return [part for numbers in alike.values() for part in _parts(numbers, least, most, workers)]


def _parts(numbers: list[int], least: int, most: int, workers: int) -> Iterator[list[int]]:
    """Parts of even size, as few as `most` allows; one for each worker where these are not too small."""
    if len(numbers) < least:
        yield from ([number] for number in numbers)
        return
    count = max(-(-len(numbers) // most), min(workers, len(numbers) // least))
    size, more = divmod(len(numbers), count)
    start = 0
    for part in range(count):
        end = start + size + (part < more)
        yield numbers[start:end]
        start = end


def remarks(jobs: Sequence[Job], replicas: Replicas) -> list[str]:
    """Lines that say how many jobs are trained as one program, and why others are not.

    For one worker: to count workers would take torch, without which a dry run does.
    """
    if replicas == 1:
        return []
    groups = [part for part in grouped(jobs, replicas, workers=1) if len(part) > 1]
    why = Counter(filter(None, (reason(job.config) for job in jobs)))
    together = sum(map(len, groups))
    largest = max(map(len, groups), default=0)
    lines = [f"{together} jobs in groups of up to {largest}, each trained as one program"] if groups else []
    few = len(jobs) - together - why.total()
    lines += [f"{few} jobs alone: too few that differ only in seed and strengths"] if few else []
    return lines + [f"{count} jobs alone: {word} is not grouped" for word, count in why.items()]


def reason(config: Config) -> str:
    """The reason why a run is a program of its own; empty if it may be grouped."""
    if config["precision"] != "fp32" or not config.get("task"):
        return f"precision={config['precision']}"
    for key, node in _nodes(config):
        if _declared(str(node.get("_target_"))) is None:
            return f"{key} ({str(node.get('_target_')).rpartition('.')[2]})"
    return ""


def _nodes(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The nodes of which classes are made that must declare that they may be grouped, by key."""
    for group in ("task", "model", "loss", "optimizer", "generator_optimizer", "regularizer"):
        nodes = (
            config[group].items() if group in KEYED else [("", config[group])] if config.get(group) else []
        )
        for name, node in nodes:
            yield f"{group}.{name}".rstrip("."), node


@cache
def _declared(target: str) -> tuple[str, ...] | None:
    """The parameters that may differ in a group, None for what may not be grouped."""
    optimizers: dict[str, tuple[str, ...]] = constant_of("genreg.optimizer.joint", "REPLICAS")
    if target in optimizers:
        return optimizers[target]
    found = attribute_of(target, "replicas")
    return None if found is None else tuple(found)


def _key(job: Job) -> str:
    """Equal for jobs that may be grouped: all of the configuration but the seed and numbers that may differ.

    Of these, whether they are zero or not given stays: a method of no strength is left out of its program.
    """
    config = {key: normal(value) for key, value in job.config.items() if key not in ("seed", "regularizer")}
    for key, node in _nodes(job.config):
        group, _, name = key.partition(".")
        masked = {k: _mask(v) if k in (_declared(str(node["_target_"])) or ()) else normal(v)
                  for k, v in node.items()}  # fmt: skip
        config.setdefault(group, {})
        config[group] = {**config[group], name: masked} if name else masked
    process = [job.process.variables, job.process.log, job.process.verbose]
    return json.dumps([config, process, job.need.command if job.need else ""], sort_keys=True, default=str)


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {"a ramp": sorted(value)}
    return ["a number"] if isinstance(value, int | float) and value else value

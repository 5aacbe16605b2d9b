"""What became of the runs of an arm, for one metric."""

import math
from dataclasses import dataclass, field

from genreg.report.read.parts import PER_STEP, SECONDS, STEPS, Arm, Part
from genreg.report.read.values import Key, run_values


@dataclass(frozen=True)
class Outcomes:
    """The values of those that finished, and which failed; unfinished and missing ones are in neither.

    A failed run is one key without a replica, also where runs have replicas: all of them failed.
    """

    values: dict[Key, float] = field(default_factory=dict)
    failed: set[Key] = field(default_factory=set)

    def lost(self, key: Key) -> bool:
        return key in self.failed or (key[0], None) in self.failed

    def knows(self, key: Key) -> bool:
        return key in self.values or self.lost(key)


def outcomes(part: Part, arm: Arm, metric: str, replicas: bool) -> Outcomes:
    """Of each run, or each replica. A value that is not finite is a failure, but for a time never reached."""
    found = Outcomes()
    for run in arm.done:
        for key, value in run_values(part, run, metric, replicas).items():
            if math.isfinite(value) or metric in (STEPS, SECONDS):
                found.values[key] = value
            else:
                found.failed.add(key)
    if metric != PER_STEP:  # how long an update takes says nothing of how it ends
        found.failed.update((run.seed, None) for run in arm.failed)
    return found

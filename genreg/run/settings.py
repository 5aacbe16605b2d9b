"""The scalars at the top of a configuration, checked once, before anything else is read."""

from typing import Any, Literal, Self

from pydantic.dataclasses import dataclass

from genreg.factory import GROUPS
from genreg.parameters import STRICT, Count, CountOrZero, blame


@dataclass(config=STRICT, kw_only=True, frozen=True)
class Settings:
    """train.yaml says what each means."""

    name: str | None
    steps: Count
    seed: CountOrZero
    device: str
    precision: Literal["fp32", "tf32", "bf16"]
    eval_every: Count
    log_every: Count
    checkpoint_every: Count
    data_dir: str | None
    output_dir: str
    quiet: bool

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """Those of a configuration; InputError names the first bad key, also one that nobody knows."""
        with blame("", cls):
            return cls(**{key: value for key, value in config.items() if key not in GROUPS})

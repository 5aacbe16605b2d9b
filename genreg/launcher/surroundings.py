"""What a run is made in, as the `hydra:` part of a configuration asks for it: its variables and its log."""

import logging
import logging.config
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from genreg.errors import InputError


@dataclass(frozen=True)
class Surroundings:
    """variables: of the environment. log: for `dictConfig`; {}: as it is. verbose: loggers that tell all."""

    variables: dict[str, str] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    verbose: list[str] = field(default_factory=list)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Set the log up, and the variables for as long as this lasts."""
        if self.log:
            try:
                logging.config.dictConfig(self.log)
            except ValueError as error:
                raise InputError("hydra.job_logging", "a logging configuration", str(error)) from error
        for name in self.verbose:
            logging.getLogger(name).setLevel(logging.DEBUG)
        with environment(**self.variables):
            yield


@contextmanager
def environment(**values: str | None) -> Iterator[None]:
    """Environment variables, also of the processes started inside; None leaves one as it is."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

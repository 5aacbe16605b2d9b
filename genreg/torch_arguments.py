"""The types of what torch's own optimizers and schedulers are given: torch lets NaN and strings pass."""

from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, create_model
from pydantic_core import PydanticCustomError

from genreg.parameters import STRICT, Count, Fraction, NonNegative, Number, Positive


def _pair(value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise PydanticCustomError("pair", "a list of 2 numbers")
    return value


Betas = Annotated[list[Fraction], BeforeValidator(_pair)]
SGD = {"lr": NonNegative, "momentum": Fraction, "dampening": NonNegative, "weight_decay": NonNegative,
       "nesterov": bool, "fused": bool}  # fmt: skip
ADAM = {"lr": NonNegative, "betas": Betas, "eps": Positive, "weight_decay": NonNegative, "amsgrad": bool,
        "fused": bool}  # fmt: skip
ARGUMENTS: dict[str, dict[str, Any]] = {
    "SGD": SGD,
    "Adam": ADAM,
    "AdamW": ADAM,
    "RMSprop": {"lr": NonNegative, "alpha": Fraction, "eps": Positive, "weight_decay": NonNegative,
                "momentum": Fraction, "centered": bool},
    "CosineAnnealingLR": {"T_max": Count, "eta_min": Number},
    "LinearLR": {"total_iters": Count, "start_factor": Positive, "end_factor": NonNegative},
    "StepLR": {"step_size": Count, "gamma": Positive},
}  # fmt: skip
"""By name of the class. What else of torch a user names is left to torch's own checks."""


def check(target: Any, values: dict[str, Any]) -> None:
    """Raise ValidationError where `values` do not fit a torch class that is known here."""
    if str(target.__module__).startswith("torch.") and target.__name__ in ARGUMENTS:
        _model(target.__name__)(**values)


@cache
def _model(name: str) -> type[BaseModel]:
    fields: dict[str, Any] = {key: (kind | None, None) for key, kind in ARGUMENTS[name].items()}
    return create_model(name, __config__=STRICT, **fields)

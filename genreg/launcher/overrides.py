"""The text of an override, `[+|++|~]key[@package][=value]`, as far as it can be read without Hydra."""


def key(override: str) -> str:
    """What an override sets: `a.b` of `++a.b=3`, `optimizer@other` of `optimizer@other=adam`."""
    return override.partition("=")[0].lstrip("+~")


def group(override: str) -> str:
    """The group that an override chooses from: `optimizer` of `optimizer@other=adam`."""
    return key(override).partition("@")[0]


def value(override: str) -> str:
    """The text behind the first `=`, quotes and all."""
    return override.partition("=")[2]


def of_hydra(override: str) -> bool:
    """Whether it is about Hydra itself, not about what is run."""
    return key(override).startswith(("hydra.", "hydra/"))


def merged(overrides: list[str], given: list[str]) -> list[str]:
    """Both, where the last of several with one key counts."""
    return list({key(override): override for override in [*overrides, *given]}.values())

"""Completion with Tab: of the verbs here, of what follows `genreg train` by Hydra."""

import os

VERBS = ("train", "report", "show", "sync", "data")


def answer(arguments: list[str]) -> None:
    """What the shell asks for in COMP_LINE; Hydra's script for the shell calls back without the verb."""
    verb, _, rest = os.environ.get("COMP_LINE", "").partition(" ")[2].partition(" ")
    if verb == "train" and (rest or os.environ["COMP_LINE"].endswith(" ")):
        from genreg.cli.train import main

        os.environ["COMP_LINE"] = f"genreg {rest}"
        main(arguments)
    elif arguments[1:2] == ["query=bash"]:
        print(" ".join(name for name in VERBS if name.startswith(verb)))

"""`genreg`, also `python -m genreg`. Only `train` imports Hydra and torch, and not to print its help."""

import sys
from io import TextIOWrapper

from genreg.cli import completion, verbs
from genreg.cli import help as help_page
from genreg.errors import Interrupted, explained, report


def main() -> None:
    """Run the command line; exit 0 done, 1 failed, 2 bad input, 130 interrupted with the state saved."""
    arguments = sys.argv[1:]
    if isinstance(sys.stdout, TextIOWrapper):  # a name of a folder need not be text
        sys.stdout.reconfigure(errors="replace")
    try:
        if arguments[:1] == ["train"]:
            _train(arguments[1:])
        elif arguments[:1] == ["-sc"]:  # what the shell calls back
            completion.answer("".join(arguments[1:2]))
        else:
            verbs.app(arguments, standalone_mode=True)
    except Exception as error:
        failure = explained(error)
        report(failure)
        sys.exit(failure.exit_code)
    except KeyboardInterrupt as error:
        print(f"genreg: {error or 'interrupted'}", file=sys.stderr)
        sys.exit(Interrupted.exit_code)


def _train(arguments: list[str]) -> None:
    """Print the help page, or complete a word, or import Hydra and train."""
    extended = any(argument.startswith(("--config-dir", "-cd")) for argument in arguments)
    if {"--help", "-h"} & set(arguments) and not extended:
        print(help_page.text())
        return
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        completion.answer("".join(arguments[1:2]))
        return
    from genreg.cli import train

    train.main(arguments)


if __name__ == "__main__":
    main()

"""`genreg`, also `python -m genreg`. Only `train` imports Hydra and torch, and not to print its help."""

import os
import sys

from genreg.cli import completion, verbs
from genreg.cli import help as help_page
from genreg.errors import GenregError, Interrupted, explained, report


def main() -> None:
    """Run the command line; exit 0 done, 1 failed, 2 bad input, 130 interrupted with the state saved."""
    arguments = sys.argv[1:]
    try:
        if arguments[:1] == ["train"]:
            _train(arguments[1:])
        elif arguments[:1] == ["-sc"]:  # what the shell calls back
            completion.answer("".join(arguments[1:2]))
        else:
            verbs.app(arguments, standalone_mode=True)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except GenregError as error:
        report(error)
        sys.exit(error.exit_code)
    except Exception as error:
        failure = explained(error)
        report(failure)
        sys.exit(failure.exit_code)
    except KeyboardInterrupt as error:
        print(f"genreg: {str(error) or 'interrupted'}", file=sys.stderr)
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

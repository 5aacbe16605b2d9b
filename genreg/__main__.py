"""`genreg`, also `python -m genreg`.

Only `train` imports Hydra and torch: not to print its help, nor where what was typed has been done before.
"""

import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

from genreg.errors import InputError, Interrupted, explained, report

TRAINING = ("train", "compare")
"""The verbs whose result is their folders: they go on where nobody reads what they print."""


def main() -> None:
    """Run the command line; exit 0 done, 1 failed, 2 bad input, 130 interrupted with the state saved."""
    arguments = sys.argv[1:]
    if isinstance(sys.stdout, TextIOWrapper):  # a name of a folder need not be text
        sys.stdout.reconfigure(errors="replace")
    if arguments[:1] and arguments[0] in TRAINING and sys.stdout is sys.__stdout__:
        sys.stdout, sys.stderr = _unread_or_not(sys.stdout), _unread_or_not(sys.stderr)
    try:
        if arguments[:1] == ["train"]:
            _train(arguments[1:])
        elif arguments[:1] == ["-sc"]:  # what the shell calls back
            _complete(arguments)
        else:
            _verb(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has read enough; what is left in the buffer goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        failure = explained(error)
        report(failure)
        sys.exit(failure.exit_code)
    except KeyboardInterrupt as error:
        print(f"genreg: {str(error) or 'interrupted'}", file=sys.stderr)
        sys.exit(Interrupted.exit_code)


class _Unread(FileIO):
    """A standard stream; what is written after its reader has gone, as `| head` does, goes nowhere."""

    def write(self, text: Any) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return super().write(text)


def _unread_or_not(stream: Any) -> Any:
    """The same stream, of which a closed pipe is no error."""
    if not isinstance(stream, TextIOWrapper):  # closed, or another's
        return stream
    return TextIOWrapper(BufferedWriter(_Unread(stream.fileno(), "w", closefd=False)), stream.encoding,
                         stream.errors, line_buffering=stream.line_buffering)  # fmt: skip


def _verb(arguments: list[str]) -> None:
    """Run a verb; a wrong flag or argument is an InputError of one line."""
    if "" in arguments:  # of a variable of the shell that is not set: not the folder in which one stands
        raise InputError("genreg", "arguments that are not empty", "")
    from genreg.cli import verbs

    try:
        code = verbs.app(arguments, standalone_mode=False)
    except Exception as error:  # of click, which typer brings along under another name
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()  # type: ignore[attr-defined]
            sys.exit(2)
        path = getattr(getattr(error, "ctx", None), "command_path", "genreg")
        expected = f"flags and arguments that `{path} --help` lists"
        raise InputError(path, expected, error.format_message()) from error
    sys.exit(code)


def _complete(arguments: list[str]) -> None:
    """Answer a shell."""
    from genreg.cli import completion

    completion.answer("".join(arguments[1:2]))


def _train(arguments: list[str]) -> None:
    """Print the help page, or complete a word, or import Hydra and train."""
    extended = any(argument.startswith(("--config-dir", "-cd")) for argument in arguments)
    if {"--help", "-h"} & set(arguments) and not extended:
        from genreg.cli import help as help_page

        print(help_page.text())
        return
    if arguments[:1] in (["-sc"], ["--shell-completion"]):
        _complete(arguments)
        return
    from genreg.cli import remembered

    if found := remembered.finished(arguments):
        from genreg.cli import one

        config, process, flags = found
        with process.entered():
            one.make(config, flags)
        return
    from genreg.cli import train

    train.main(arguments)


if __name__ == "__main__":
    main()

"""The grammar of every command that has options and nothing else, `python -m PROGRAM key=value …`, and its end.

A value is the text behind the first "=", as the shell leaves it. A wrong word ends the command with one line on stderr
and exit code 2, before anything heavy is imported; an error of the disk with code 1, and Ctrl-C with 130.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from analysis.errors import InputError, line, unknown, written_out

KINDS = {str: "a text", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Option:
    """A key of a command: its meaning, and its default value.

    `kind` is str, int or float; `choices` are all the values it takes, if they are few; `required` has no default.
    """

    help: str
    default: str | int | float = ""
    kind: type = str
    choices: tuple[str, ...] = ()
    required: bool = False

    def read(self, key: str, text: str) -> str | int | float:
        """The value of a text; InputError where this option does not allow it."""
        if not text:
            raise InputError(f"{key}= has no value: give {self.help}")
        if self.choices and text not in self.choices:
            raise unknown(key, text, self.choices)
        try:
            return self.kind(text)  # type: ignore[no-any-return]
        except ValueError as error:
            raise InputError(f"{key} must be {KINDS[self.kind]}, got {text!r}{written_out(text)}") from error


def parse(arguments: Sequence[str], options: Mapping[str, Option]) -> dict[str, Any]:
    """A value per option; InputError for a word that is not key=value, unknown, twice, missing, or not allowed."""
    values: dict[str, Any] = {}
    for argument in arguments:
        refuse_dashes(argument)
        key, separator, text = argument.partition("=")
        if not separator:
            raise InputError(f"expected key=value, got {argument!r}: the keys are {', '.join(options)}; see --help")
        if key not in options:
            raise unknown("option", key, options)
        if key in values:
            raise InputError(f"{key} is given twice, as {str(values[key])!r} and {text!r}: give it once")
        values[key] = options[key].read(key, text)
    for key, option in options.items():
        if option.required and key not in values:
            raise InputError(f"{key}= is missing: give {option.help}")
    return {key: values.get(key, option.default) for key, option in options.items()}


def refuse_dashes(argument: str) -> None:
    """InputError for --key=value, with the word to write instead."""
    if argument.startswith("-"):
        word, separator, text = argument.lstrip("-").partition("=")
        value = text if separator else "VALUE"
        raise InputError(f"{argument!r}: keys are written without dashes: write {word.replace('-', '_')}={value}")


def folder_name(key: str, text: str) -> str:
    """The name of a folder within another; InputError where it leads out of that folder, or is not a name."""
    if re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", text) is None:
        raise InputError(f"{key} must be the name of a folder in results/, which leads to no other place, got {text!r}")
    return text


def usage(program: str, purpose: str, options: Mapping[str, Option]) -> str:
    """The text of --help."""
    words = [f"{key}=…" if option.required else f"[{key}=…]" for key, option in options.items()]
    lines = [" ".join([f"python -m {program}", *words]), "", purpose, ""]
    room = max(len(key) for key in options) + 2
    for key, option in options.items():
        choices = f": {' | '.join(option.choices)}" if option.choices else ""
        default = "" if option.default == "" else f" (default {option.default})"
        lines.append(f"  {key:<{room}}{option.help}{choices}{default}")
    return "\n".join(lines)


def run(
    program: str,
    purpose: str,
    options: Mapping[str, Option],
    action: Callable[[dict[str, Any]], None],
    arguments: Sequence[str] | None = None,
) -> int:
    """The exit code after parsing the arguments (by default the process's own) and acting on them (`shell.outcome`)."""

    def main(words: Sequence[str]) -> int:
        if HELP & set(words):
            print(usage(program, purpose, options))
        else:
            action(parse(words, options))
        return 0

    return outcome(main, sys.argv[1:] if arguments is None else arguments)


PACKAGE = "diffusion-ablations"
HELP = {"--help", "-h", "help"}
"""The words that ask for a command's help."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""
AGAIN = "what has finished is kept, the same command continues"


def exit_code(main: Callable[[list[str]], int]) -> int:
    """Run a command on the process's arguments; its exit code. A refused one ends at once, without the seconds that
    imports take to end, here and for workers; and so does an interrupted one at a further Ctrl-C."""
    code = outcome(main, sys.argv[1:])
    if code == 2:
        for child in psutil.Process().children(recursive=True):
            child.kill()
        print(end="", flush=True)
        os._exit(code)
    if code == INTERRUPTED:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    return code


def release() -> str:
    """The suite's name with its version."""
    try:
        return f"{PACKAGE} {version(PACKAGE)}"
    except PackageNotFoundError:
        return f"{PACKAGE} of a checkout that is not installed: pip install -e . makes its version known"


def outcome(main: Callable[[list[str]], int], arguments: Sequence[str]) -> int:
    """The exit code of a command on these arguments, after a line that says what stopped it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            # Characters that such a terminal lacks are written out.
            stream.reconfigure(errors="backslashreplace")
    if "--version" in arguments:
        print(release())
        return 0
    try:
        return main(list(arguments))
    except InputError as error:
        print(f"error: {line(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Otherwise Python would find the broken pipe once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not HELP & set(arguments):
            print(f"error: what read this command's output has ended: {AGAIN}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {line(str(error))}: mend this; {AGAIN}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted: {AGAIN}", file=sys.stderr)
        return INTERRUPTED

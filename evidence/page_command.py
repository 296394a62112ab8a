"""The command of a page that simulations or files make: the page is printed, and written where asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis import options
from analysis.errors import InputError
from analysis.options import Option


def replicates(what: str, default: int) -> Mapping[str, Option]:
    """The number of grids that are drawn."""
    return {"replicates": Option(what, default, int)}


def page_command(
    name: str, purpose: str, given: Mapping[str, Option], page: Callable[[dict[str, Any]], str], what: str = "page"
) -> Callable[[list[str]], int]:
    """The command of this name whose page is made of what is `given`, and which calls it `what`; its exit code."""

    def write(values: dict[str, Any]) -> None:
        if values.get("replicates", 1) < 1:
            raise InputError("replicates must be at least 1")
        text = page(values)
        print(text)
        if values["out"]:
            Path(values["out"]).write_text(text + "\n", encoding="utf-8")

    every = {**given, "out": Option(f"a file to write the {what} to as well")}

    def main(arguments: list[str]) -> int:
        return options.run(name, purpose, every, write, arguments)

    return main

"""The command that writes a report; that of a committed grid goes to results/.committed/<grid>/."""

import sys
from functools import partial

from analysis.places import SOURCE, folder_of, pages_of
from analysis.shell import Option, run

OPTIONS = SOURCE | {"grid": Option(f"{SOURCE['grid'].help}; or grid=A,B, which lays two grids side by side")}


def show(values: dict[str, str]) -> None:
    """Write the pages of the grid that a command names, and print the report's path; or write and print two grids side
    by side."""
    from analysis.pages import FILE, write_beside, write_pages

    if "," in values["grid"] and not values["runs"]:
        print(write_beside(values["grid"]))
        return
    folder = folder_of(values)
    write_pages(folder)
    print(pages_of(folder) / FILE)


main = partial(run, "analysis.report", "Write the report of a grid that was run.", OPTIONS, show)


if __name__ == "__main__":
    sys.exit(main())

"""The command that writes a report; that of a committed grid goes to results/.committed/<grid>/."""

import sys
from functools import partial

from analysis.places import SOURCE, folder_of, pages_of
from analysis.shell import run


def show(values: dict[str, str]) -> None:
    """Write the pages of the grid that a command names, and print the report's path."""
    from analysis.pages import FILE, write_pages

    folder = folder_of(values)
    write_pages(folder)
    print(pages_of(folder) / FILE)


main = partial(run, "analysis.report", "Write the report of a grid that was run.", SOURCE, show)


if __name__ == "__main__":
    sys.exit(main())

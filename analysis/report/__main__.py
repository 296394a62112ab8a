"""The command that writes a report; that of a committed grid goes to results/.committed/<grid>/."""

import sys

from analysis import shell
from analysis.places import SOURCE, folder_of, pages_of


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        from analysis.pages import FILE, write_pages

        folder = folder_of(values)
        write_pages(folder)
        print(pages_of(folder) / FILE)

    return shell.run("analysis.report", "Write the report of a grid that was run.", SOURCE, show, arguments)


if __name__ == "__main__":
    sys.exit(main())

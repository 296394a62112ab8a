"""`python -m analysis.report`: the table, the figures and the page of a grid, or of a search alone."""

from __future__ import annotations

import sys

from analysis import options
from analysis.figures import draw, draw_search
from analysis.findings.answers import Answers
from analysis.folders import SOURCE, folder_of, pages_of, search_alone
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from analysis.report import report, write_report
from analysis.report.files import Files
from analysis.report.search import search_report
from analysis.tables import read_through, write_tables


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        folder = folder_of(values)
        if search_alone(folder):
            search = read_search(folder)
            page = search_report(search, draw_search(search), Files(folder))
        else:
            answers = Answers.of(read_folder(folder))
            write_tables(answers, pages_of(folder))
            page = report(answers, draw(answers), read_through(answers), Files(folder))
        print(write_report(page, pages_of(folder)))

    return options.run("analysis.report", "Write the report of a grid that was run.", SOURCE, show, arguments)


if __name__ == "__main__":
    sys.exit(main())

"""`python -m analysis.report`: the figures, the table and the page of a grid, or of a search alone."""

from __future__ import annotations

import sys

from analysis import options
from analysis.figures import draw, draw_search
from analysis.findings.answers import Answers
from analysis.read.search import read_search
from analysis.read.source import SOURCE, source_of
from analysis.report import NONE, report, write_report
from analysis.report.files import Files
from analysis.report.search import search_report
from analysis.tables import read_through


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""

    def show(values: dict[str, str]) -> None:
        source = source_of(values)
        if source.search_alone:
            search = read_search(source.folder)
            page = search_report(search, draw_search(search), Files.beside(source.folder))
        else:
            answers = Answers.of(source.read())
            files = NONE if source.store else Files.beside(source.folder)
            page = report(answers, draw(answers), read_through(answers), files)
        print(write_report(page, source.pages))

    return options.run("analysis.report", "Write the report of a grid that was run.", SOURCE, show, arguments)


if __name__ == "__main__":
    sys.exit(main())

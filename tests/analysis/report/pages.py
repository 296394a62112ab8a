"""A page as tests read it."""

from contextlib import nullcontext
from html.parser import HTMLParser
from itertools import groupby
from unittest.mock import patch

from analysis.pages import write_pages


class Page(HTMLParser):
    """A page's elements, with the text below each; it fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.takes = self.texts("p", **{"class": "take"})
        self.parts = {section["id"]: " ".join(section["text"].split()) for section in self.all("section")}

    def handle_starttag(self, tag, attrs):
        self.elements.append({"tag": tag, "text": "", "within": list(self.open), **dict(attrs)})
        if tag not in ("meta", "link", "img"):
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data.replace("\u00a0", " ")

    def all(self, tag, **attributes):
        return [e for e in self.elements if e["tag"] == tag and attributes.items() <= e.items()]

    def texts(self, tag, **attributes):
        return [" ".join(element["text"].split()) for element in self.all(tag, **attributes)]

    def table(self, name):
        """The texts of the fields of each row of a part's tables."""
        inside = [e for e in self.elements if any(outer.get("id") == name for outer in e["within"])]
        fields = groupby((e for e in inside if e["tag"] in ("th", "td")), lambda e: id(e["within"][-1]))
        return [[" ".join(field["text"].split()) for field in row] for _, row in fields]


def page_of(folder, *, drawn=False):
    """The report of a results folder, on request with its figures, which take most of the time."""
    with nullcontext() if drawn else patch("analysis.pages.write_figures"):
        write_pages(folder)
    return Page((folder / "report.html").read_text(encoding="utf-8"))

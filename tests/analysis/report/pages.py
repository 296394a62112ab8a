"""A page as tests read it, and pictures that take no time."""

from html.parser import HTMLParser

from analysis.figures.drawing import Drawn
from analysis.report import FILE
from analysis.report.__main__ import main

PICTURE = "analysis.figures.as_png"
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """A page's elements, with the text below each; it fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "text": "", "within": [outer["tag"] for outer in self.open], **dict(attrs)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data.replace("\u00a0", " ")

    def all(self, tag, **attributes):
        found = [element for element in self.elements if element["tag"] == tag]
        return [e for e in found if all(e.get(name) == value for name, value in attributes.items())]

    def inside(self, outer, tag):
        """The elements of this tag that stand in an outer one."""
        return [element for element in self.all(tag) if outer in element["within"]]

    def texts(self, tag, **attributes):
        return [" ".join(element["text"].split()) for element in self.all(tag, **attributes)]

    def section(self, name):
        (element,) = self.all("section", id=name)
        return " ".join(element["text"].split())


def laid_out(figure):
    """A figure that is laid out, which finds what cannot be drawn, but not saved."""
    figure.draw_without_rendering()
    return Drawn(b"\x89PNG\r\n\x1a\n", (1.0, 1.0))


def page_of(folder):
    """The report of a results folder, written by the command."""
    assert main([f"runs={folder}"]) == 0
    return folder / FILE

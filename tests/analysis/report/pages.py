"""A page as tests read it, and pictures that take no time."""

from html.parser import HTMLParser

from analysis.report.page import Picture

PICTURE = "analysis.report.figures.picture"
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
        element = {"tag": tag, "text": "", **dict(attrs)}
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

    def texts(self, tag, **attributes):
        return [" ".join(element["text"].split()) for element in self.all(tag, **attributes)]

    def section(self, name):
        (element,) = self.all("section", id=name)
        return " ".join(element["text"].split())


def laid_out(name, figure, caption, alt):
    """A picture whose figure is laid out, which finds what cannot be drawn, but not saved."""
    figure.draw_without_rendering()
    return Picture(name, "data:image/png;base64,iVBORw0KGgo=", 100, 100, caption, alt)

"""Every figure that is drawn twice comes out byte for byte alike, whatever the user's own settings are."""

import io

import matplotlib
import pytest

from analysis.figures import FIGURES, SEARCH_FIGURES, files_of
from analysis.figures.deck import DECK
from analysis.figures.drawing import save, styled
from analysis.figures.metrics import metrics_figure
from analysis.findings.answers import Answers
from analysis.read.runs import read_folder
from analysis.read.search import read_search
from tests.analysis.conftest import NLL, answers_of, build, curves, rows, write_curves
from tests.analysis.figures.test_deck import write, write_strips
from tests.analysis.figures.test_guidance import guided
from tests.analysis.figures.test_lines import VARIANCE, made, steps
from tests.analysis.figures.test_schedules import SCHEDULE, fabricated, fixed, learned
from tests.analysis.figures.test_split import with_estimate
from tests.analysis.findings.test_bits import with_terms
from tests.analysis.latent import latent
from tests.analysis.searches import one_objective, two_objectives
from tests.axes import thinned


def deck(folder):
    return write_strips(write(build(folder)), "forward-linear", "backward-linear")


def lines(folder):
    made(folder, [VARIANCE, steps("10", "25", "100")])
    return folder


def guidance(folder):
    return guided(folder, "1", "1.5", "2")


def schedules(folder):
    return fabricated(folder, [SCHEDULE], {("linear",): fixed(7, -9), ("learned",): learned(apart=1.0)}, seeds=(0, 1))


def on_the_way(folder):
    """The same cells at rungs, nearer to each other the later."""
    known = [row | {"nll/val": row[NLL]} for row in rows() if NLL in row]
    build(folder, known, rungs=2)
    lines = [
        (row["cell_id"], row["seed"], "rung/nll/val", step, f"{row[NLL] + 100 / step:.7g}")
        for row in known
        for step in (125, 250)
    ]
    write_curves(folder, [*curves(), *lines])
    return folder


SCENES = {
    on_the_way: ("budget",),
    build: ("samples", "metrics", "differences", "training", "weights", "bound"),
    latent: ("reconstructions", "compute", "cost", "elbo"),
    with_terms: ("split",),
    lines: ("lines",),
    guidance: ("guidance",),
    schedules: ("schedules",),
    with_estimate: ("estimate",),
    deck: ("strips", *DECK),
    one_objective: ("history", "slices", "rungs"),
    two_objectives: ("history_second", "slices_second", "pareto"),
}
OWN_SETTINGS = {"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 50}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What makes a scene → its folder, made when it is first asked for."""
    known = {}

    def folder(make):
        if make not in known:
            known[make] = tmp_path_factory.mktemp("scene") / "g"
            make(known[make])
        return known[make]

    return folder


def png(name, folder):
    """A figure of a folder that is read anew, at few dots."""
    file, own = io.BytesIO(), name in SEARCH_FIGURES
    with styled():
        figure = SEARCH_FIGURES[name](read_search(folder)) if own else FIGURES[name](answers_of(folder))
        figure.savefig(file, dpi=40)
    return file.getvalue()


DRAWN = [(make, name) for make, names in SCENES.items() for name in names]


@pytest.mark.parametrize(("make", "name"), thinned(DRAWN, 3, [name for _, name in DRAWN]))
def test_a_figure_drawn_twice_is_drawn_alike(folders, make, name):
    first = png(name, folders(make))
    with matplotlib.rc_context(OWN_SETTINGS):
        assert png(name, folders(make)) == first


def test_every_figure_has_a_scene():
    assert sorted(name for names in SCENES.values() for name in names) == sorted(FIGURES)


@pytest.mark.thorough
def test_both_files_are_alike_when_saved_twice(folders, tmp_path):
    grid = read_folder(folders(build))
    written = []
    for name, settings in (("first", {}), ("second", OWN_SETTINGS)):
        with matplotlib.rc_context(settings), styled():
            drawn = save(metrics_figure(Answers.of(grid)), tmp_path / name)
        written.append([path.read_bytes() for path in files_of(tmp_path, name)])
        assert written[-1][0] == drawn.png
    assert written[0] == written[1]

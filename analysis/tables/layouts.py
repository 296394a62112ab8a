"""The layouts of tables, as data: which form, which metrics in which order, and whose numbers beside ours.

A grid asks for one in grid.json, and `layout=` for another. What a layout needs and the grid lacks is an error where it
was asked for by name; a grid's own falls back on `general`, with a footnote, so that no run ends without its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.format.errors import InputError, unknown
from analysis.tables.forms import FlatForm, Form, Frame, GroupedForm, Shown
from analysis.tables.matrix import MatrixForm
from analysis.tables.papers import papers
from analysis.tables.published import PaperTable


@dataclass(frozen=True)
class Layout:
    """The first of its forms that fits a grid, beside these tables of papers.yaml."""

    forms: tuple[Form, ...]
    papers: tuple[str, ...] = ()


_IMPROVED = FlatForm(
    metrics=("nll", "fid"),
    rest=False,
    shown=(
        Shown("Iters", "training.steps"),
        Shown("T", "horizon"),
        Shown("Schedule", "schedule"),
        Shown("Objective", "objective"),
    ),
    told=("variance", "timesteps"),
)

LAYOUTS: Mapping[str, Layout] = {
    "general": Layout((FlatForm(),)),
    "ddpm_table_1": Layout((FlatForm(metrics=("is", "fid", "nll"), rest=False),), ("ddpm_1",)),
    "ddpm_table_2": Layout((GroupedForm(metrics=("nll", "fid", "is")),), ("ddpm_2",)),
    "improved_ddpm_1": Layout((_IMPROVED,), ("iddpm_1",)),
    "improved_ddpm_2": Layout((_IMPROVED,), ("iddpm_2",)),
    "vdm": Layout(
        (
            MatrixForm({"nll": "evaluation.horizon"}, rows=("horizon",)),
            FlatForm(metrics=("nll", "nll_continuous", "bound_variance"), rest=False),
        ),
        ("vdm_2", "vdm_4b"),
    ),
    "ldm": Layout(
        (FlatForm(metrics=("nll", "fid", "memorisation", "rfid", "psnr", "cost"), rest=False, over=("space",)),),
        ("ldm_8",),
    ),
    "analytic_dpm": Layout(
        (MatrixForm({"nll": "evaluation.horizon", "fid": "sampler.steps"}, rows=("variance",)),),
        ("analytic_1", "analytic_2"),
    ),
}


@dataclass(frozen=True)
class FittingLayout:
    """A layout that fits a grid, the form of it, and the footnote that says why it is another than asked for."""

    name: str
    form: Form
    papers: tuple[PaperTable, ...]
    notes: list[str]


def choose(frame: Frame, asked: str = "") -> FittingLayout:
    """The layout `asked` for, or else the grid's own; InputError where the one asked for is unknown or does not fit."""
    own = frame.answers.meta.layout
    name = asked or own
    if name not in LAYOUTS:
        if asked:
            raise unknown("layout", asked, LAYOUTS)
        return _general(f"Set out as general: no layout here is called {own}")
    fitting = [form for form in LAYOUTS[name].forms if not form.lacks(frame)]
    if fitting:
        return FittingLayout(name, fitting[0], _comparable(frame, LAYOUTS[name].papers), [])
    needs = f"{name} needs {LAYOUTS[name].forms[-1].lacks(frame)}"
    varies = ", ".join(axis.name for axis in frame.axes) or "nothing"
    if asked:
        raise InputError(f"layout={needs}; this grid varies {varies}: take layout=general, or run a grid with that")
    return _general(f"Set out as general: the layout {needs}; this grid varies {varies}")


def _comparable(frame: Frame, names: tuple[str, ...]) -> tuple[PaperTable, ...]:
    """The papers' tables of something that the grid measures too."""
    kinds = {metric.kind for metric in frame.answers.metrics}
    return tuple(papers()[name] for name in names if kinds & set(papers()[name].metrics))


def _general(why: str) -> FittingLayout:
    return FittingLayout("general", LAYOUTS["general"].forms[0], (), [why])

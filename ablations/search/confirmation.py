"""The honest end of a search: winners and the default, run anew at fresh seeds as a grid that reads test
data."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ablations.driver.bar import minutes
from ablations.grids.file import AxisSpec, GridFile, LevelSpec
from ablations.grids.grid import Grid, Point
from ablations.search.finalists import Finalist
from ablations.search.plan import SearchPlan
from ablations.search.space import Params, said
from ablations.settings.identity import parameters
from analysis.labels import counted

AXIS, DEFAULT = "choice", "default"


def confirmation(plan: SearchPlan, winners: list[Finalist]) -> Grid | None:
    """The grid; None where no winner differs from the default, so that there is nothing to compare. Its seeds follow
    those of the search."""
    study = plan.study
    fresh = range(study.seeds[-1] + 1, study.seeds[-1] + 1 + study.file.confirm)
    default = study.cell(study.default, fresh[0])
    points, levels = [Point({AXIS: DEFAULT}, default)], [LevelSpec(name=DEFAULT, label="default")]
    for winner in winners:
        cell = study.cell(winner.trial.params, fresh[0])
        if cell not in [point.cell for point in points]:
            points.append(Point({AXIS: winner.level}, cell))
            levels.append(LevelSpec(name=winner.level, label=winner.label))
    if len(points) == 1:
        return None
    tried = [f"{level.label}: {words(plan, point)}" for level, point in zip(levels, points, strict=True)]
    file = GridFile(
        question=f"{study.file.question} What a search found, confirmed at fresh seeds.",
        axes=[AxisSpec(name=AXIS, label="Choice", levels=levels)],
        baseline={AXIS: DEFAULT},
        seeds=study.file.confirm,
        footnotes=[
            f"{'; '.join(tried)}.",
            f"Chosen on validation data by {counted(len(study.seeds), 'seed')} a trial; all rows here are of seeds "
            "that the search has not seen.",
            *study.footnotes,
        ],
    )
    return Grid(study.name, file, points, list(fresh))


def noted(grid: Grid, trials: int, seconds: float, looks: int) -> Grid:
    """The grid with the cost of the search, and the number of times that other winners were compared on the same test
    data."""
    notes = [f"The search before it took {minutes(seconds)}, for {counted(trials, 'trial')}."]
    if looks:
        notes.append(
            f"This search was continued after {counted(looks, 'look')} at test data with an earlier winner, at the "
            "same seeds: going on until a verdict pleases makes it an exploratory one."
        )
    return replace(grid, file=grid.file.model_copy(update={"footnotes": [*grid.file.footnotes, *notes]}))


def cells_of(plan: SearchPlan, winners: list[Finalist]) -> set[str]:
    """The ids of the cells of the confirmation; none where there is nothing to compare."""
    grid = confirmation(plan, winners)
    return {plan.here.id_of(point.cell) for point in grid.points} if grid is not None else set()


def forget_pages(folder: Path) -> None:
    """Delete the pages of a confirmation of other winners, which an earlier, shorter search left."""
    for pattern in ("clock.csv", "images.csv", "autoencoders.csv", "answers.json", "table.*"):
        for path in folder.glob(pattern):
            path.unlink()
    for name in ("figures", "samples", "reconstructions"):
        shutil.rmtree(folder / name, ignore_errors=True)


def words(plan: SearchPlan, point: Point) -> str:
    """The searched parameters, with their values in a cell of the confirmation, in words."""
    flat = parameters(point.cell)
    return ", ".join(
        f"{parameter.label or name} = {value_in(flat, name)}"
        for name, parameter in plan.study.parameters.items()
        if name in flat
    )


def value_in(flat: Params, name: str) -> str:
    """A parameter of a cell, with as few digits as identify it."""
    try:
        return said(float(flat[name]))
    except ValueError:
        return str(flat[name])

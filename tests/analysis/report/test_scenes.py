"""The report survives whatever a grid lacks."""

import pytest

from tests.analysis.conftest import AXES, FID, NLL, build, lost_rows, rows, without_samples, write_curves
from tests.analysis.report.pages import Page, page_of
from tests.sampling import sampled


def scene(name):
    """Rows and changes of grid.json for a grid that lacks something."""
    table = rows()
    if name == "one cell":
        kept = [row for row in table if row["cell_id"] == "epsilon-simple"]
        return kept, {"axes": [], "layout": "general", "baseline": {}}
    if name == "one seed":
        return [row for row in table if row["seed"] == 0], {"seeds": [0]}
    if name == "all diverged":
        return lost_rows("diverged", "the loss was not finite"), {}
    if name == "points":
        metrics = [
            {"name": NLL, "label": "NLL", "unit": "nats", "direction": "min", "decimals": 2},
            {"name": "energy_distance/test", "label": "Energy distance", "direction": "min", "decimals": 3},
        ]
        named = [
            {"energy_distance/test" if key == FID else key: value for key, value in row.items()}
            for row in table
            if row["parameterization"] == "x0"
        ]
        lacking = {"floors": {}, "extractor": None, "extractor_accuracy": None, "layout": "general", "baselines": {}}
        return named, lacking | {"axes": AXES[1:], "baseline": {}, "metrics": metrics, "data": "mixture2d"}
    return table, {}


LACKING = [
    ("one cell", "For likelihood: nothing to choose between.", "verdict table samples curves noise cost"),
    ("one seed", "For likelihood no verdict; best value: ε · L (fixed isotropic Σ).", "verdict table samples curves"),
    ("all diverged", "No verdict.", "verdict table samples curves besides missing"),
    ("points", "For likelihood take MSE at ε-weight 1", "verdict table comparisons budget samples curves besides"),
    (
        "no samples",
        "For likelihood take ε · L (fixed isotropic Σ)",
        "verdict table comparisons budget axes curves besides noise",
    ),
    (
        "no curves",
        "For likelihood take ε · L (fixed isotropic Σ)",
        "verdict table comparisons budget axes samples besides noise",
    ),
]


@pytest.mark.parametrize(("name", "first", "sections"), sampled(LACKING, 2, [name for name, *_ in LACKING]))
def test_a_grid_that_lacks_something(tmp_path, quick, name, first, sections):
    table, changes = scene(name)
    folder = build(tmp_path / "g", table, **changes)
    if name == "no samples":
        (without_samples(folder) / "samples").rmdir()
    if name == "no curves":
        write_curves(folder, [])
    page = Page(page_of(folder).read_text(encoding="utf-8"))
    assert page.texts("p", **{"class": "take"})[0].startswith(first)
    found = [section["id"] for section in page.all("section")]
    assert found[: len(sections.split())] == sections.split()
    assert found[-3:] == ["missing", "provenance", "words"]

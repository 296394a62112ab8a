"""What the documentation shows runs, and its links lead somewhere.

Python runs block after block as in one notebook, and prints what the page says; grids and commands are understood.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import linecache
import pkgutil
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import ablations
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.making import refusal
from ablations.settings.plugins import REGISTERED
from analysis import pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
SAID = "# →"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
TOLERANCE = 0.02
"""What a number may differ by on another kind of machine, as a share of it: trainings round differently."""


def blocks(page: Path) -> list[str]:
    """The blocks of Python of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def said(block: str) -> list[str]:
    """The lines that a block says it prints."""
    return [line.removeprefix(SAID).strip() for line in block.splitlines() if line.startswith(SAID)]


def differing(printed: list[str], expected: list[str]) -> list[tuple[str, str]]:
    """Lines that are not what was said: other words, or a number that is not near."""
    pairs = itertools.zip_longest(printed, expected, fillvalue="(nothing)")
    return [(line, wanted) for line, wanted in pairs if not _alike(line, wanted)]


def _alike(line: str, wanted: str) -> bool:
    if NUMBER.sub("#", line) != NUMBER.sub("#", wanted):
        return False
    numbers = zip(NUMBER.findall(line), NUMBER.findall(wanted), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=TOLERANCE, abs=0) for a, b in numbers)


def printed_by(shown: list[str], monkeypatch) -> list[str]:
    """What blocks print that are run one after the other, in one session."""
    notebook, printed = ModuleType("notebook"), []
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    for number, block in enumerate(shown, 1):
        told, place = io.StringIO(), f"block {number}"
        # As a notebook keeps the text of its cells.
        linecache.cache[place] = (len(block), None, block.splitlines(keepends=True), place)
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(block, place, "exec"), notebook.__dict__)
        printed.append(told.getvalue())
    return printed


@pytest.fixture
def unregistered(monkeypatch):
    """What a test registers is forgotten after it."""
    known = dict(REGISTERED)
    yield
    REGISTERED.clear()
    REGISTERED.update(known)


@pytest.fixture
def notebook_folder(tmp_path, monkeypatch, store):
    """A folder to run pages in, with an empty store and the committed results; no pages are drawn there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pages, "write_pages", lambda folder: "")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "committed").symlink_to(ROOT / "results" / "committed")
    shutil.copy(store, tmp_path / "results" / "mlflow.db")


@pytest.mark.slow
def test_what_docs_python_shows_runs_and_prints_what_it_says(notebook_folder, monkeypatch, unregistered):
    shown = blocks(DOCS / "python.md")
    assert len(shown) >= 2
    for block, told in zip(shown, printed_by(shown, monkeypatch), strict=True):
        if said(block):
            # A grid shows its table before anything else.
            assert differing(told.splitlines()[-len(said(block)) :], said(block)) == [], block


@pytest.mark.thorough
def test_the_notebook_runs(notebook_folder, monkeypatch, unregistered):
    cells = json.loads((DOCS / "first_hour.ipynb").read_text(encoding="utf-8"))["cells"]
    assert len(cells) == 10
    assert not any(cell.get("outputs") for cell in cells), "its outputs are not committed"
    shown = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    grid, verdicts, _, own, search = printed_by(shown, monkeypatch)
    assert "first-hour" in grid
    assert re.search(r"nll/test: .*ε · unweighted MSE", verdicts)
    assert "own-schedule: 2 cells" in own
    assert "own-search" in search


def test_the_example_of_the_reference_prints_what_it_says(monkeypatch):
    (block,) = blocks(DOCS / "api.md")
    (told,) = printed_by([block], monkeypatch)
    assert told.splitlines() == said(block)


SCRIPTS = [block for block in blocks(DOCS / "extending.md") if block.startswith("# mine.py")]


def main_of(block: str, monkeypatch) -> list[list[str]]:
    """What a script gives `ablations.main`, with its class registered and checked."""
    given: list[list[str]] = []
    script = ModuleType("script")
    monkeypatch.setitem(sys.modules, "script", script)
    with monkeypatch.context() as running:
        running.setattr(ablations, "main", given.append)
        exec(compile(block, "docs/extending.md", "exec"), script.__dict__)
    return given


@pytest.mark.parametrize("script", SCRIPTS, ids=["schedule", "network", "metric"])
def test_a_script_of_docs_is_whole_and_its_class_passes_its_check(script, unregistered, monkeypatch):
    assert "ablations.check(" in script
    grids = main_of(script, monkeypatch)
    for grid in grids:
        assert all(refusal(point.cell) is None for point in make(parse_run(grid)).points)


def own_grid() -> tuple[str, str]:
    """The name and the text of the grid's file that docs/grids.md shows."""
    text = (DOCS / "grids.md").read_text(encoding="utf-8")
    (name,) = set(re.findall(r"`configs/grid/(\w+)\.yaml`", text))
    block, *_ = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return name, block


PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))


@pytest.mark.parametrize("page", [README, *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_what_pages_tell_to_run_is_understood(page, tmp_path, monkeypatch):
    name, text = own_grid()
    for folder, file, held in (("grid", name, text), ("schedule/saved", "mine", "name: linear\n")):
        (tmp_path / "configs" / folder).mkdir(parents=True)
        (tmp_path / "configs" / folder / f"{file}.yaml").write_text(held, encoding="utf-8")
    (tmp_path / "FOLDER").mkdir()
    generator = np.random.default_rng(0)
    for i in range(150):
        Image.fromarray(generator.integers(256, size=(16, 16, 3), dtype=np.uint8)).save(tmp_path / f"FOLDER/{i}.png")
    monkeypatch.setenv("DIFFUSION_ABLATIONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    told = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for command in re.findall(r"python -m (ablations\.(?:run|search) [^`\n]*)", told):
        module, *words = shlex.split(command, comments=True)
        if "--help" in words or any("…" in word or word.startswith("grid=NAME") for word in words):
            continue
        if module == "ablations.run":
            asked = parse_run(words)
            if "data.download=true" not in words:
                make(asked)
        else:
            parse_search(words)


def anchor(heading: str) -> str:
    """What a heading is linked by."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("http"):
            continue
        place, _, part = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if part:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert part in {anchor(heading) for heading in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_code_are_those_of_something(page):
    names = r"(?<![\w./-])(?:diffusion_core|ablations|analysis|evidence|benchmarks)(?:\.\w+)+"
    # To look for `ablations.run` as a module, the command's file, would hide the function of that name.
    for name in set(re.findall(names, page.read_text(encoding="utf-8"))) - {"ablations.run"}:
        pkgutil.resolve_name(name)


def test_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\(docs/([^)#]+)", README.read_text(encoding="utf-8")))
    assert {page.name for page in DOCS.glob("*.md")} <= linked


def test_ten_lines_build_train_sample_bound_and_swap_the_variance():
    block = blocks(DOCS / "python.md")[0]
    lines = [line for line in block.splitlines() if line and not line.startswith(("from ", "import ", SAID))]
    assert len(lines) <= 10

"""Imports run one way: diffusion_core ◀ ablations ▶ analysis, and in no circle within any of them."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DRAWN = {"pandas", "seaborn", "matplotlib"}
FORBIDDEN = {
    "diffusion_core": {"ablations", "analysis", "tests", "hydra", "mlflow", "optuna"} | DRAWN,
    "analysis": {"torch", "torchvision", "torch_fidelity", "mlflow", "optuna", "ablations", "diffusion_core", "tests"},
    "ablations": {"tests"},
}
SPOKEN = (
    "schema files folders frames grid_json primary links labels errors options shell answers read search sequential"
)
SPOKEN += " sequential words pages"
"""Modules of `analysis` that the experiment knows: files, columns, names, errors, and the answers to its questions."""
PACKAGES = pytest.mark.parametrize("package", FORBIDDEN)


def modules(package: str) -> dict[str, Path]:
    """Dotted name → file."""
    files = sorted((ROOT / package).rglob("*.py"))
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imported(module: str, file: Path) -> set[str]:
    """The dotted names that a module imports, anywhere in it; `from a import b` names a and a.b."""
    names: set[str] = set()
    base = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = base.split(".")[: len(base.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return names


@PACKAGES
def test_no_module_imports_what_its_package_must_not_know(package):
    wrong = {
        f"{module} imports {name.split('.')[0]}"
        for module, file in modules(package).items()
        for name in imported(module, file)
        if name.split(".")[0] in FORBIDDEN[package]
    }
    assert wrong == set()


@PACKAGES
def test_no_modules_of_a_package_import_each_other_in_a_circle(package):
    inside = modules(package)
    graph = {module: (imported(module, file) & inside.keys()) - {module, package} for module, file in inside.items()}
    tuple(TopologicalSorter(graph).static_order())


def test_of_the_analysis_the_experiment_knows_files_and_the_answers_to_its_questions():
    names = {name for module, file in modules("ablations").items() for name in imported(module, file)}
    assert {name.split(".")[1] for name in names if name.startswith("analysis.")} <= {*SPOKEN.split()}


def test_networks_know_nothing_of_diffusion_but_how_choices_are_called():
    for module, file in modules("diffusion_core/networks").items():
        own = {name for name in imported(module, file) if name.startswith("diffusion_core")}
        assert all(name.startswith(("diffusion_core.networks", "diffusion_core.named")) for name in own), module


def test_the_engine_knows_no_torch_and_no_diffusion():
    for module, file in modules("ablations/engine").items():
        names = {name for name in imported(module, file) if name.split(".")[0] in ("torch", "safetensors", "ablations")}
        assert all(name.startswith("ablations.engine") for name in names), module
        assert not any(name.startswith("diffusion_core") for name in imported(module, file)), module


def test_imports_are_found_in_every_form(tmp_path):
    file = tmp_path / "d.py"
    file.write_text("import a.b, c\ndef f():\n    from e import g\n    from . import h\n    from ..i import j\n")
    assert imported("x.y.d", file) == {"a.b", "c", "e", "e.g", "x.y", "x.y.h", "x.i", "x.i.j"}


LAYERS = {
    "ablations": [
        {"__main__"},
        {"run", "search", "sample", "export", "publish", "check", "clean"},
        {"driver"},
        {"launchers", "tracking", "deck"},
        {"results"},
        {"grids"},
        {"stages"},
        {"metrics"},
        {"settings"},
        {"data"},
        {"engine"},
    ],
    "analysis": [
        {"pages"},
        {"report"},
        {"tables", "terminal"},
        {"layouts", "writers"},
        {"sheet"},
        {"figures", "remarks", "words"},
        {"answers"},
        {"declared"},
        {"comparisons"},
        {"sequential", "summary"},
        {"claims", "costs", "factorial", "reading", "search"},
        {"folders", "results"},
        {"frames", "options"},
        {"files", "grid_json", "links", "looks", "published", "shell"},
        {"errors", "labels", "primary", "schema", "statistics"},
    ],
}
"""Package → its parts from the top layer down. A part imports from parts below it, and from no other of its layer: so
commands, which are the top layer of `ablations`, import no commands."""


def parts(package: str) -> dict[str, set[str]]:
    """Part → the parts of its package that it imports from."""
    found: dict[str, set[str]] = {}
    for module, file in modules(package).items():
        # A command of a package, such as `python -m analysis.report`, stands above all of its parts.
        if package == "analysis" and module.endswith(".__main__"):
            continue
        names = [name.split(".") for name in imported(module, file)]
        inside = {name[1] for name in names if name[0] == package and len(name) > 1}
        part = module.split(".")[1] if "." in module else ""
        found.setdefault(part, set()).update(inside - {part})
    known = found.keys() - {""}
    return {part: names & known for part, names in found.items() if part}


@pytest.mark.parametrize("package", LAYERS)
def test_every_part_has_its_layer(package):
    assert set(parts(package)) == set().union(*LAYERS[package])


@pytest.mark.parametrize("package", LAYERS)
def test_parts_import_from_below_only(package):
    layer = {part: height for height, layer in enumerate(reversed(LAYERS[package])) for part in layer}
    upward = {
        f"{part} imports {other}"
        for part, others in parts(package).items()
        for other in others
        if layer[other] >= layer[part]
    }
    assert upward == set()

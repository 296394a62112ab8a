"""Imports run one way: diffusion_core ◀ ablations ▶ analysis, and in no circle within any of them."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "diffusion_core": {
        "ablations",
        "analysis",
        "tests",
        "hydra",
        "mlflow",
        "optuna",
        "pandas",
        "seaborn",
        "matplotlib",
    },
    "analysis": {"torch", "torchvision", "torch_fidelity", "optuna", "ablations", "diffusion_core", "tests"},
    "ablations": {"tests"},
}
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
        f"{module} imports {name}"
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


def test_networks_know_nothing_of_diffusion():
    for module, file in modules("diffusion_core/networks").items():
        own = {name for name in imported(module, file) if name.startswith("diffusion_core")}
        assert all(name.startswith("diffusion_core.networks") for name in own), module


def test_imports_are_found_in_every_form(tmp_path):
    file = tmp_path / "d.py"
    file.write_text("import a.b, c\ndef f():\n    from e import g\n    from . import h\n    from ..i import j\n")
    assert imported("x.y.d", file) == {"a.b", "c", "e", "e.g", "x.y", "x.y.h", "x.i", "x.i.j"}


def test_the_core_is_read():
    assert "diffusion_core.forward" in modules("diffusion_core")
    assert "diffusion_core.networks.unet" in modules("diffusion_core")


ROOMS = {
    "read": set(),
    "statistics": set(),
    "findings": {"read", "statistics"},
    "tables": {"read", "statistics", "findings"},
    "figures": {"read", "statistics", "findings"},
    "report": {"read", "statistics", "findings", "tables", "figures"},
}
"""A room of analysis/ → those that it may import from."""


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_of_analysis_build_on_each_other_in_one_direction(room):
    for module, file in modules(f"analysis/{room}").items():
        names = {name.split(".")[1] for name in imported(module, file) if name.startswith("analysis.")}
        assert names & ROOMS.keys() <= {room} | ROOMS[room], module

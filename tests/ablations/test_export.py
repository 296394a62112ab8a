"""A learned schedule is kept by the command, and any other command line can then name it."""

from __future__ import annotations

import shutil

import pytest
import torch

from ablations import export
from ablations.data.tensors import read_tensors
from ablations.driver import run, trained_cells
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.settings.making import cell_of as made_of
from ablations.settings.registry import parameters
from analysis import pages
from diffusion_core.trainer import part
from tests.ablations.conftest import TINY, cell_of, head, rows, said
from tests.ablations.settings.test_grammar import one_line_error

POINTS = [*(word for word in TINY if not word.startswith(("network.", "training.steps"))), "network.width=16"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory, store):
    """A results folder with two cells on points, one of them with a learned schedule."""
    results = tmp_path_factory.mktemp("results")
    shutil.copy(store, results / "mlflow.db")
    words = ["data=mixture2d", "objective=vlb_continuous", "schedule=learned,linear", "training.steps=20", "name=ends"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "write_pages", said)
        assert run.main([*words, "evaluation.continuous=2", *POINTS, f"results={results}", "launcher=serial"]) == 0
    return results, rows(results / "ends")


def gamma_by_hand(weights, u):
    """VDM's γ(u) in the terms of its paper, from the stored parameters."""
    slope, v, b, w = (
        weights[f"diffusion.denoiser.gamma.shape.{name}"] for name in ("slope", "sharpness", "bias", "height")
    )

    def g(u):
        return slope.abs() * u + (w.abs() * (2 * torch.sigmoid(v.abs() * (2 * u - 1) + b) - 1)).mean()

    start = -13.3 + 18.3 * weights["diffusion.denoiser.gamma.shift"]
    share = (g(u) - g(0.0)) / (g(1.0) - g(0.0))
    return float(start + 18.3 * weights["diffusion.denoiser.gamma.log_stretch"].exp() * share)


def test_a_learned_schedule_is_kept_and_named_like_any_other(learned, configs, capsys):
    results, (row, _) = learned
    assert row["schedule"] == "learned"
    (footnote,) = head(results / "ends")["footnotes"]
    assert "Because schedules are compared" in footnote
    assert export.main([f"cell={row['cell_id'][:8]}", "name=Mine_1-a", f"results={results}"]) == 0
    assert "schedule=linear,cosine,saved/Mine_1-a" in capsys.readouterr().out
    lines = (configs / "schedule" / "saved" / "Mine_1-a.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# learned in grid ends, cell {row['cell_id']}, seed 0, on mixture2d at T=25"
    assert [line.split(":")[0] for line in lines[1:]] == ["name", "knots"]

    cell = cell_of("schedule=saved/Mine_1-a")
    weights = results / ".stages" / row["training_id"] / "weights.safetensors"
    average = part(read_tensors(weights)[0], "average")
    assert len(cell.schedule.knots) == 101
    assert list(cell.schedule.knots) == sorted({float(f"{knot:.6g}") for knot in cell.schedule.knots})
    for i, knot in enumerate(cell.schedule.knots):
        assert knot == pytest.approx(gamma_by_hand(average, i / 100), rel=1e-5, abs=1e-9)
    assert made_of(parameters(cell), 0) == cell
    compared = make(parse_run(["schedule=cosine,saved/Mine_1-a", "horizon=50"]))
    assert [point.levels["schedule"] for point in compared.points] == ["cosine", "saved/Mine_1-a"]
    assert run.main(["--help"]) == 0
    assert lines[0].removeprefix("# ") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("name=x", "cell= is missing"),
        ("cell={learned} name=../x", "name must be letters, digits, '_' and '-', got '../x'"),
        ("cell={learned} name=taken", "schedule=saved/taken is there already and is never overwritten"),
        ("cell={other} name=x", "has schedule=linear, which learns nothing"),
    ],
)
def test_what_cannot_be_kept_is_one_line(words, message, learned, configs, capsys):
    results, (row, other) = learned
    (configs / "schedule" / "saved").mkdir(parents=True)
    taken = configs / "schedule" / "saved" / "taken.yaml"
    taken.write_text("# mine\nname: saved\nknots: [-1.0, 1.0]\n")
    call = words.format(learned=row["cell_id"], other=other["cell_id"]).split()
    line = one_line_error(export.main, [*call, f"results={results}"], capsys)
    assert message in line
    assert [path.name for path in (configs / "schedule" / "saved").iterdir()] == ["taken.yaml"]
    assert taken.read_text().startswith("# mine")


def test_a_schedule_that_was_not_trained_here_or_is_flat_is_not_kept(learned, configs, tmp_path, capsys, monkeypatch):
    results, (row, _) = learned
    shutil.copytree(results / "ends", tmp_path / "results" / "ends")
    arguments = [f"cell={row['cell_id']}", "name=x"]
    line = one_line_error(export.main, [*arguments, f"results={tmp_path / 'results'}"], capsys)
    assert "was not trained here" in line
    monkeypatch.setattr(trained_cells, "knots_of", lambda diffusion: [0.0, 1.0, 1.0])
    line = one_line_error(export.main, [*arguments, f"results={results}"], capsys)
    assert "is flat somewhere to 6 digits" in line
    assert not (configs / "schedule" / "saved").exists()

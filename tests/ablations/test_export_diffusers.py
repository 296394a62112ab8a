"""A trained cell as a folder that diffusers alone loads: same network, same images, same bound on the way back."""

from __future__ import annotations

import itertools
import json
import re
import shutil

import pytest
import torch

from ablations import export
from ablations.driver import run
from ablations.driver.diffusers_folder import network_config, words_of, write_pipeline
from ablations.settings.published import chain_of
from ablations.stages.restore import build
from analysis import pages
from diffusion_core.networks.published import Published
from tests.ablations.cells import cell_of, over
from tests.ablations.conftest import TINY, rows, said
from tests.ablations.settings.test_grammar import one_line_error

T = 20
SMALL = [f"horizon={T}", "schedule=cosine", "network.channels=16", "network.multipliers=[1,2]", "network.attention=[4]"]


@pytest.fixture(scope="module", autouse=True)
def _diffusers():
    pytest.importorskip("diffusers")


def said_of(cell):
    """What diffusers calls a cell's choices, and the config of its network."""
    return words_of(cell), network_config(cell)


def exported(place, *words):
    """A cell's model with weights that are all random, and the pipeline that diffusers makes of its folder."""
    from diffusers import DDPMPipeline

    cell = cell_of(*over(SMALL, *words))
    data = cell.data.load()
    model = build(cell, data.encoding, data, torch.device("cpu")).diffusion.eval()
    generator = torch.Generator().manual_seed(1)
    for value in model.network.parameters():
        value.data += 0.05 * torch.randn(value.shape, generator=generator)
    write_pipeline(place, cell, model, *said_of(cell))
    pipeline = DDPMPipeline.from_pretrained(place)
    pipeline.set_progress_bar_config(disable=True)
    return cell, model, pipeline


def apart(cell, model, pipeline, monkeypatch):
    """The largest difference of a pixel in [−1, 1] between their samples and ours, of one noise. Their last step, from
    t = 0, draws none."""
    noise = torch.randn(cell.horizon + 1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    chain = model.chain(cell.sampler.steps)
    draws = iter([noise[0], *noise[: chain.steps + 1].flip(0)])
    for module in ("pipelines.ddpm.pipeline_ddpm", "schedulers.scheduling_ddpm"):
        monkeypatch.setattr(f"diffusers.{module}.randn_tensor", lambda *_, **__: next(draws))
    theirs = pipeline(batch_size=3, num_inference_steps=chain.steps, output_type="np").images
    with torch.no_grad():
        *_, x_0 = cell.sampler.walk(model, noise[0], chain, chain.steps, lambda k: noise[k])
    assert 0 <= theirs.min() <= theirs.max() <= 1
    return float((x_0.clamp(-1, 1)[:, 0] - (2 * torch.from_numpy(theirs)[..., 0] - 1)).abs().max())


LEARNED = ["variance=learned", "objective=hybrid"]
CASES = [
    *([f"parameterization={target}", *variance]
      for target, variance in itertools.product(
          ("epsilon", "v", "x0"), (["variance=beta"], ["variance=beta_tilde"], LEARNED))),
    ["sampler.steps=7"],
    ["evaluation.clip=false", "parameterization=v"],
    ["time_input=log_snr", "schedule=log_snr_linear", "schedule.gamma_min=-5"],
    ["time_input=log_snr", "schedule=learned", "schedule.gamma_min=-5", "objective=vlb"],
    ["schedule=rectified", "parameterization=x0"],
    ["network.multipliers=[1,2,3]", "network.blocks=2", "network.attention=[4,2]", "network.heads=1"],
    ["network.attention=[]"],
]  # fmt: skip


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_their_pipeline_and_our_sampler_give_the_same_images_of_the_same_noise(words, tmp_path, monkeypatch):
    assert apart(*exported(tmp_path / "cell", *words), monkeypatch) < 1e-5


def test_in_double_precision_the_networks_are_the_same(tmp_path):
    """So what is left above is rounding; both have their sinusoids in float32."""
    _, model, pipeline = exported(tmp_path / "cell", "network.blocks=2")
    x, ours, theirs = torch.randn(2, 1, 8, 8).double(), model.network.double(), pipeline.unet.double()
    for t in (1, T):
        with torch.no_grad():
            out = ours(x, torch.full((2,), 1000.0 * t / T))
            torch.testing.assert_close(theirs(x, t - 1).sample, out, rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["parameterization=mu"], "it has parameterization=mu: take one with parameterization=epsilon, x0 or v"),
        (["variance=analytic"], "it has variance=analytic: take one with variance=beta, beta_tilde or learned"),
        (["network=dit"], "it has network=dit: take one with network=unet"),
        (["space=latents"], "it has space=latents: take one with space=pixels"),
        (["conditioning=class"], "it has conditioning=class: take one with conditioning=unconditional"),
        (["conditioning.self_conditioning=true"], "it has conditioning.self_conditioning=true: take one without"),
        (["sampler=ddim"], "it has sampler=ddim: take one with sampler=ancestral"),
        (["spacing=trailing", "sampler.steps=5"], "it has spacing=trailing: take one with spacing=uniform"),
        (["network.multipliers=[2,2]"], "take a cell whose network.multipliers begin with 1"),
        (["network.attention=[8,4]"], "network.heads=2 is of maps of [16, 32] channels"),
    ],
)
def test_what_diffusers_cannot_say_is_refused_by_name(words, says):
    own = [word for word in SMALL if not (words == ["network=dit"] and word.startswith("network"))]
    cell = cell_of(*over(own, *words))
    with pytest.raises(ValueError, match=re.escape(says)) as refused:
        said_of(cell)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, store):
    """A grid of one cell of digits, briefly trained, and the folder that its export has written."""
    results = tmp_path_factory.mktemp("results")
    shutil.copy(store, results / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "write_pages", said)
        row = row_of(results, "first", "variance=beta_tilde")
    call = [f"cell={row['cell_id']}", "format=diffusers", f"to={results / 'out' / 'cell'}", f"results={results}"]
    assert export.main(call) == 0
    return results, row, call


def row_of(results, name, *words):
    """The row of the only cell of a grid that is run. In bf16, rounding would move samples by grey levels."""
    own = over(TINY, "network.multipliers=[1,2]", "network.attention=[4]", "training.precision=float32")
    own = over(own, "evaluation.sets=1", "evaluation.n=16")
    if words[0] == "network=published":
        own = [word for word in own if not word.startswith(("network.", "horizon"))]
    assert run.main([*over(own, *words), f"name={name}", f"results={results}", "launcher=serial"]) == 0
    (row,) = rows(results / name)
    return row


def test_a_network_that_comes_back_has_its_bound_and_its_samples_and_learns_further(trained, monkeypatch):
    monkeypatch.setattr(pages, "write_pages", said)
    results, row, _ = trained
    back = ["network=published", f"network.path={results / 'out' / 'cell'}"]
    again = row_of(results, "again", *back)
    scores = [name for name in row if name.startswith(("nll/", "fid/", "kid/"))]
    came, went = ({name: float(of[name]) for name in scores} for of in (again, row))
    assert came == pytest.approx(went, rel=1e-5, abs=1e-5)
    assert (again["schedule"], again["variance"], again["horizon"]) == ("linear", "beta_tilde", "25")
    more = ["training.start=published", "variance=learned", "objective=hybrid", "training.learning_rate=0.0005"]
    taught = row_of(results, "taught", *back, *more)
    assert float(taught["nll/test"]) < float(again["nll/test"])


def test_the_card_has_scores_command_and_limits(trained):
    results, row, _ = trained
    text = (results / "out" / "cell" / "README.md").read_text(encoding="utf-8")
    assert f"cell {row['cell_id']} at seed 0 of the grid first" in text
    assert f"| NLL | {float(row['nll/test']):.2f} bits/dim |" in text
    assert "num_inference_steps=25" in text
    assert "on 897 images [1, 8, 8] of digits" in " ".join(text.split())


def test_a_wrong_call_is_one_line_and_writes_nothing(trained, capsys, monkeypatch, tmp_path):
    call = trained[-1]
    assert "is never overwritten" in one_line_error(export.main, call, capsys)
    wrong = {"to": "to= is missing", "cell": "cell= is missing"}
    for key, message in wrong.items():
        assert message in one_line_error(export.main, [w for w in call if not w.startswith(f"{key}=")], capsys)
    assert "name= says nothing" in one_line_error(export.main, [*call, "name=x"], capsys)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ablations.driver.diffusers_folder.save_file", full)
    assert export.main(over(call, f"to={tmp_path / 'new'}")) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_schedule_whose_betas_were_changed_is_not_taken_for_ours(trained):
    config = json.loads((trained[0] / "out" / "cell" / "scheduler" / "scheduler_config.json").read_text())
    assert chain_of(config)["schedule"] == "linear"
    config["trained_betas"][0] *= 2
    with pytest.raises(ValueError, match="trained_betas"):
        chain_of(config)


def test_a_published_table_of_times_is_not_asked_between_them(trained):
    network = Published(str(trained[0] / "out" / "cell"), horizon=25).build((1, 8, 8), 1)
    with pytest.raises(ValueError, match="asked between two of them"):
        network(torch.zeros(2, 1, 8, 8), torch.full((2,), 100.0))

"""Sheets of samples, and of data beside them."""

import numpy as np
import torch
from PIL import Image

from ablations.data.shipped import Digits, Mixture2d
from ablations.data.tensors import write_tensors
from ablations.engine.journal import Journal, Result
from ablations.results.folder import write_samples
from ablations.results.records import Record
from ablations.results.sample_sheets import sheet, write_nearest, write_sheet
from ablations.stages.artifacts import SAMPLES
from tests.ablations.conftest import TINY, plan_of


def test_held_out_points_stand_beside_those_that_are_drawn(tmp_path):
    data = Mixture2d().load()
    write_samples(tmp_path / "samples", [], Journal(tmp_path / "journal"), data)
    head, *lines = (tmp_path / "samples" / "held-out.csv").read_text().splitlines()
    assert (head, len(lines)) == ("x0,x1", 1000)
    assert lines[0] == ",".join(f"{value:.5g}" for value in data.images["test"][0].tolist())


def test_held_out_images_do_so_too(tmp_path):
    """Digits have 17 grey levels; eight images stand side by side, a white line apart."""
    data = Digits().load()
    write_samples(tmp_path / "samples", [], Journal(tmp_path / "journal"), data)
    sheet = np.asarray(Image.open(tmp_path / "samples" / "held-out.png"))
    assert sheet.shape == (4 * 9 + 1, 8 * 9 + 1)
    second = data.images["test"][1, 0].numpy()
    np.testing.assert_array_equal(np.round(sheet[1:9, 10:18] / 255 * 16), second)


def test_a_cell_has_sheets_of_its_first_seed_midway(tmp_path):
    made = plan_of("seeds=2", *TINY, "evaluation.rungs=2", "evaluation.judged_rungs=2")
    journal = Journal(tmp_path / "journal")
    stages = [stage for item in made.runs for stage in item.stages if stage.kind == "samples"]
    for stage in stages:
        journal.folder(stage.id).mkdir(parents=True)
        grey = torch.full((12, 1, 8, 8), stage.rung // 20, dtype=torch.uint8)
        write_tensors(journal.folder(stage.id) / SAMPLES, {"samples": grey})
        journal.write_result(stage.id, Result("finished", "", {}, {}, {}))
    records = [Record(item, "finished", "", {}, {}, {}) for item in made.runs]
    write_samples(tmp_path / "samples", records, journal, made.here.data)
    cell, rungs = made.runs[0].cell_id, sorted({stage.rung for stage in stages if stage.rung})
    midway = {f"{cell}-{made.runs[0].cell.seed}-at-{rung}.png": rung for rung in rungs}
    assert {path.name for path in (tmp_path / "samples").glob("*-at-*")} == midway.keys() != set()
    for name, rung in midway.items():
        assert np.asarray(Image.open(tmp_path / "samples" / name))[1, 1] == round(rung // 20 * 255 / 16)


def test_beside_samples_stand_the_training_images_nearest_to_them(tmp_path):
    """Held-out images as samples, by a search through all training images that knows only numpy; and copies."""
    data = Digits().load()
    training = data.images["train"].numpy().astype(int)
    samples = torch.cat([data.images["test"][:30], data.images["train"][[5, 600]]])
    apart = [((training - sample) ** 2).sum(axis=(1, 2, 3)) for sample in samples.numpy().astype(int)]
    expected = torch.from_numpy(np.array([int(distances.argmin()) for distances in apart]))
    nearest = write_nearest(tmp_path / "nearest", samples, data)
    by_hand = write_sheet(tmp_path / "by_hand", data.images["train"][expected], data)
    np.testing.assert_array_equal(np.asarray(Image.open(nearest)), np.asarray(Image.open(by_hand)))
    assert expected[30:].tolist() == [5, 600]


def test_a_strip_puts_images_edge_to_edge():
    images = torch.tensor([[[[0, 1], [2, 3]]], [[[3, 2], [1, 0]]]], dtype=torch.uint8)
    np.testing.assert_array_equal(np.asarray(sheet(images, 4, gap=0)), [[0, 85, 255, 170], [170, 255, 85, 0]])


def test_a_colour_strip_keeps_its_channels():
    images = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    images[1, 2] = 255
    picture = np.asarray(sheet(images, 256, gap=0))
    assert picture.shape == (2, 4, 3)
    np.testing.assert_array_equal(picture[0, 3], [0, 0, 255])

"""Sheets of samples, and of data beside them."""

import numpy as np
import torch
from PIL import Image

from ablations.data.shipped import Digits, Mixture2d
from ablations.engine.journal import Journal
from ablations.results.folder import write_samples
from ablations.results.sample_sheets import write_nearest, write_sheet


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

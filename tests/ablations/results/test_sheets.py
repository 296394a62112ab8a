"""Sheets of samples, and of data beside them."""

import numpy as np
from PIL import Image

from ablations.data.digits import Digits
from ablations.data.mixture2d import Mixture2d
from ablations.engine.journal import Journal
from ablations.results.folder import write_samples


def test_held_out_points_stand_beside_those_that_are_drawn(tmp_path):
    data = Mixture2d().load()
    write_samples(tmp_path / "samples", [], Journal(tmp_path / "journal"), data)
    head, *lines = (tmp_path / "samples" / "held-out.csv").read_text().splitlines()
    assert (head, len(lines)) == ("x0,x1", 1000)
    assert lines[0] == ",".join(f"{value:.5g}" for value in data.images["test"][0].tolist())


def test_held_out_images_stand_beside_samples(tmp_path):
    """Side by side, a pixel apart: the second of the first row begins at column 10."""
    data = Digits().load()
    write_samples(tmp_path / "samples", [], Journal(tmp_path / "journal"), data)
    (path,) = (tmp_path / "samples").iterdir()
    assert path.name == "held-out.png"
    pixels = np.asarray(Image.open(path))
    levels = data.images["test"][1, 0].numpy()
    assert np.array_equal(pixels[1:9, 10:18], np.round(levels * 255 / 16).astype(np.uint8))

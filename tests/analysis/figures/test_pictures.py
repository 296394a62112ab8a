"""Pictures: which pixels are shown, and what is said where there are none."""

import numpy as np
import pytest
from PIL import Image

from tests.analysis.figures.drawing import drawn, faults, texts, title
from tests.analysis.folders import make_folder


def picture(path, pixels):
    """A PNG of these grey levels."""
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def sheet(value):
    """A sheet of 4 × 8 images of one grey level with white lines between them."""
    tiles = np.tile(np.pad(np.full((8, 8), value), ((0, 1), (0, 1)), constant_values=255), (4, 8))
    return np.pad(tiles, ((1, 0), (1, 0)), constant_values=255)


@pytest.fixture
def grid(tmp_path):
    folder = make_folder(tmp_path / "g", {"a": [2.0, 2.1], "b": [2.5, 2.6], "c": [None, None]}, shape=[1, 8, 8])
    for name, value in (("held-out", 10), ("a-0", 20), ("b-1", 30), ("a-0-nearest", 99)):
        picture(folder / "samples" / f"{name}.png", sheet(value))
    return folder


def test_samples_are_the_first_sheets_beside_held_out_data(grid):
    figure = drawn("samples", grid)
    shown = {title(axes): axes.images for axes in figure.axes if title(axes)}
    assert list(shown) == ["held-out", "a", "b", "c"]
    darkest = {title: round(255 * images[0].get_array().min()) for title, images in shown.items() if images}
    assert darkest == {"held-out": 10, "a": 20, "b": 30}
    high, wide = (ink := figure.axes[0].images[0].get_alpha()).shape
    assert (high % 9, wide % 9, ink[::9].max(), ink[1:9, 1:9].min()) == (1, 1, 0, 1)
    assert "no samples" in [text for axes in figure.axes for text in texts(axes)]
    assert list(faults(figure)) == []


def test_points_are_shown_in_the_square_of_held_out_ones(tmp_path):
    folder = make_folder(tmp_path / "g", {"a": [2.0], "b": [2.5]})
    (folder / "samples").mkdir()
    for name, rows in (("held-out", ["-1,-1", "1,1"]), ("a-0", ["0,0", "9,9"])):
        (folder / "samples" / f"{name}.csv").write_text("\n".join(["x,y", *rows, ""]))
    figure = drawn("samples", folder)
    own = next(axes for axes in figure.axes if title(axes) == "a")
    assert own.lines[0].get_xydata().tolist() == [[0, 0], [9, 9]]
    assert own.get_xlim() == pytest.approx((-1.2, 1.2), abs=0.01)
    assert drawn("samples", make_folder(tmp_path / "h", {"a": [2.0]})) is None


def test_reconstructions_name_the_autoencoders_by_what_tells_them_apart(tmp_path):
    psnr = {"label": "PSNR", "unit": "dB", "direction": "max", "decimals": 1, "part": "autoencoder"}
    values = {(a, b): {0: {"psnr/test": 20.0 + "pq".index(a)}} for a in "pq" for b in "xy"}

    def change(row):
        return row | {"autoencoder_id": "z" + row["axis.a"]}

    folder = make_folder(tmp_path / "g", values, metrics={"psnr/test": psnr}, change=change)
    for name in ("originals", "zp", "zq"):
        picture(folder / "reconstructions" / f"{name}.png", np.zeros((8, 40)))
    figure = drawn("reconstructions", folder)
    assert [texts(axes) for axes in figure.axes] == [["originals", ""], ["p", "PSNR 20.0 dB"], ["q", "PSNR 21.0 dB"]]
    assert list(faults(figure)) == []

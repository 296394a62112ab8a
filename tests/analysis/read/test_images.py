"""Values per image: their order, their mean, and what is said of a file that is none."""

import numpy as np
import pandas as pd
import pytest

from analysis.errors import InputError
from analysis.read.images import no_images
from analysis.read.runs import read_folder
from tests.analysis.conftest import NLL, cell_id, rows, write_csv

N = 5
CONTINUOUS = "nll_continuous/test"


def image_rows():
    """Two likelihoods of each finished row: NLL's mean over images is the row's metric, to six digits."""
    return [
        [row["cell_id"], row["seed"], metric, *(f"{row[NLL] + shift + x:.6g}" for x in np.linspace(-0.5, 0.5, N))]
        for row in rows()
        if row["status"] == "finished"
        for metric, shift in ((CONTINUOUS, 0.25), (NLL, 0.0))
    ]


HEAD = ("cell_id", "seed", "metric", *(str(i) for i in range(N)))


def with_images(folder, lines=None, head=HEAD):
    write_csv(folder / "images.csv", head, image_rows() if lines is None else lines)
    return folder


def test_images_come_in_the_order_of_the_runs_and_their_mean_is_the_metric(folder):
    lines = image_rows()
    with_images(folder, [lines[i] for i in np.random.default_rng(0).permutation(len(lines))])
    grid = read_folder(folder)
    images = grid.images
    finished = grid.runs[grid.runs["status"] == "finished"]
    keys = zip(finished["cell_id"], finished["seed"], strict=True)
    assert list(images.index) == [(*key, metric) for key in keys for metric in (NLL, CONTINUOUS)]
    assert list(images.index.names) == ["cell_id", "seed", "metric"]
    assert list(images.columns) == list(range(N))
    assert all(dtype == "float64" for dtype in images.dtypes)
    means = images.xs(NLL, level="metric").mean(axis="columns")
    np.testing.assert_allclose(means.to_numpy(), finished[NLL].to_numpy(), atol=5e-6)
    assert images.loc[(cell_id(("epsilon", "simple")), 1, NLL)].tolist() == [2.04, 2.29, 2.54, 2.79, 3.04]
    assert grid.images is images


def test_without_the_file_or_its_rows_there_are_no_images(folder):
    images = read_folder(folder).images
    assert images.empty
    assert list(images.index.names) == ["cell_id", "seed", "metric"]
    assert images.groupby("metric").mean().empty
    assert read_folder(with_images(folder, [], HEAD[:3])).images.empty


def test_images_of_what_is_not_in_the_grid_are_left_out(folder):
    with_images(folder, [["gone", 0, NLL, *"12345"], ["mu-weighted", 7, NLL, *"12345"]])
    pd.testing.assert_frame_equal(read_folder(folder).images, no_images())


@pytest.mark.parametrize(
    ("head", "line", "message"),
    [
        ("cell_id,seed,metric,0,2", "a,0,m,1,2", r"damaged: its columns are not cell_id, seed, metric, 0"),
        ("cell_id,seed,metric,0,x", "a,0,m,1,2", r"images.csv is damaged"),
        ("cell_id,seed,0,1", "a,0,1,2", r"images.csv is damaged"),
        ("cell_id,seed,metric,0,1", "a,0,m,1", r"images.csv is damaged"),
        ("cell_id,seed,metric,0,1", "a,zero,m,1,2", r"'seed' holds 'zero' where a whole number"),
        ("cell_id,seed,metric,0,1", "a,0,m,1,much", r"holds 'much' where a number is due"),
        ("cell_id,seed,metric,0,1", "a,0,m,1,", r"holds '' where a number is due"),
        ("cell_id,seed,metric,0,1", "a,0,m,1,2\na,0,m,1,3", r"holds a 0 m more than once"),
        ("", "", r"is not a CSV file"),
    ],
)
def test_damaged_images_are_refused(folder, head, line, message):
    (folder / "images.csv").write_text(f"{head}\n{line}\n" if head else "")
    grid = read_folder(folder)
    with pytest.raises(InputError, match=message) as error:
        _ = grid.images
    assert "\n" not in str(error.value)


def test_values_that_contradict_the_metric_are_refused(folder):
    lines = image_rows()
    line = next(line for line in lines if line[2] == NLL)
    line[3] = str(float(line[3]) + 0.01)
    grid = read_folder(with_images(folder, lines))
    place = f"cell_id {line[0]} at seed {line[1]}"
    with pytest.raises(InputError, match=rf"images\.csv: the mean of nll/test over the images of {place} is not the"):
        _ = grid.images

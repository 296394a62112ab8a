"""Sheets of samples, and of data beside them."""

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


def test_images_have_no_such_sheet(tmp_path):
    write_samples(tmp_path / "samples", [], Journal(tmp_path / "journal"), Digits().load())
    assert not list((tmp_path / "samples").iterdir())

"""Files that were damaged, or made by somebody who means harm: read as they are, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.results.folder import read_grid_json
from analysis.errors import InputError
from analysis.reading import read_results
from tests.ablations.hostile.conftest import drawn
from tests.ablations.hostile.test_words import in_one_line, mutated

ROOT = Path(__file__).parents[3]
GRID = ROOT / "results" / "committed" / "precision"


@st.composite
def damaged(draw, content):
    """Bytes that were cut, or of which some are others, twice or gone."""
    at = draw(st.integers(0, max(0, len(content) - 1)))
    inserted, kept = draw(st.binary(max_size=12) | st.just(content[at : at + 40])), draw(st.integers(0, 2))
    return content[:at] + draw(st.sampled_from([b"", inserted])) + content[at + kept :] * (kept < 2)


@pytest.fixture(scope="module")
def folder_of_results(tmp_path_factory):
    """A committed grid's frames, to be damaged one at a time, and their bytes."""
    frames = {name: (GRID / name).read_bytes() for name in ("grid.json", "runs.csv", "curves.parquet")}
    return tmp_path_factory.mktemp("precision"), frames


@drawn(25)
@given(data=st.data())
def test_results_are_read_or_refused(data, folder_of_results):
    folder, frames = folder_of_results
    spoilt = data.draw(st.sampled_from(sorted(frames)))
    mutant = mutated(json.loads(frames["grid.json"])).map(lambda head: json.dumps(head).encode())
    content = data.draw(damaged(frames[spoilt]) | (mutant if spoilt == "grid.json" else st.nothing()))
    for name, whole in frames.items():
        (folder / name).write_bytes(content if name == spoilt else whole)
    for read in (lambda folder: read_results(folder).curves, read_grid_json):
        try:
            read(folder)
        except InputError as error:
            in_one_line(error)

"""Command lines, files of choices and results that nobody would write, or that were damaged: understood, or refused in
a line. Some tens are drawn a test, the same ones each time; as many as are asked for by

HOSTILE=2000 pytest tests/ablations/hostile -n auto        2,000 a test, other ones each time
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ablations.grids.file import read
from ablations.results.folder import read_grid_json
from ablations.settings import grammar
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.cell import AXES, PLAIN
from analysis.errors import InputError
from analysis.reading import read_results

ASKED = int(os.environ.get("HOSTILE", "0"))
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def drawn(quick: int) -> settings:
    """The settings of a test that draws so many where none are asked for."""
    return settings(
        max_examples=ASKED or quick,
        derandomize=not ASKED,
        deadline=None,
        database=None,
        suppress_health_check=CHECKS,
    )


KEYS = st.one_of(
    st.sampled_from([*AXES, *PLAIN, "grid", "seeds", "name", "study", "training.steps"]), st.text(max_size=9)
)
VALUES = st.recursive(
    st.integers(-3, 2**40) | st.floats(width=32) | st.text(max_size=20) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
WORDS = st.builds(lambda key, value: f"{key}={json.dumps(value)}", KEYS, VALUES) | st.text(max_size=30)


def in_one_line(error):
    """Check that what a refusal says is a line that somebody can read."""
    assert 0 < len(" ".join(str(error).split())) < 2000


@drawn(100)
@given(words=st.lists(WORDS, max_size=4))
def test_a_command_line_is_understood_or_refused(words):
    for parse in (parse_run, parse_search):
        try:
            parse(words)
        except InputError as error:
            in_one_line(error)


@st.composite
def mutated(draw, content):
    """The same content with something in it replaced, added or taken away."""
    if not isinstance(content, dict) or not content or draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    key = draw(st.sampled_from(sorted(content)))
    kept = {name: value for name, value in content.items() if name != key}
    return draw(
        st.sampled_from([kept, content | {"other": draw(VALUES)}, content | {key: draw(mutated(content[key]))}])
    )


LEVELS = {"name": "schedule", "levels": [{"name": "linear"}, {"name": "cosine", "label": "cos"}]}
GRID = {"question": "?", "set": {"horizon": 50}, "axes": [LEVELS], "baseline": {"schedule": "linear"}, "seeds": 2}


@drawn(60)
@given(content=mutated(GRID), text=st.none() | st.text(max_size=60))
def test_a_grids_file_is_read_or_refused(content, text, configs):
    (configs / "grid" / "mine.yaml").write_text(json.dumps(content) if text is None else text, encoding="utf-8")
    grammar.use(None)
    try:
        read("mine")
    except InputError as error:
        in_one_line(error)


COMMITTED = Path(__file__).parents[3] / "results" / "committed" / "precision"


@st.composite
def damaged(draw, content):
    """Bytes that were cut, or of which some are others, twice or gone."""
    at = draw(st.integers(0, max(0, len(content) - 1)))
    inserted, kept = draw(st.binary(max_size=12) | st.just(content[at : at + 40])), draw(st.integers(0, 2))
    return content[:at] + draw(st.sampled_from([b"", inserted])) + content[at + kept :] * (kept < 2)


@pytest.fixture(scope="module")
def folder_of_results(tmp_path_factory):
    """A committed grid's frames, to be damaged one at a time, and their bytes."""
    frames = {name: (COMMITTED / name).read_bytes() for name in ("grid.json", "runs.csv", "curves.parquet")}
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
    for reading in (lambda folder: read_results(folder).curves, read_grid_json):
        try:
            reading(folder)
        except InputError as error:
            in_one_line(error)

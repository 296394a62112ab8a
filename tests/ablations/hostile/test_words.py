"""Command lines and files of choices that nobody would write: understood, or refused in a line."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ablations.grids.file import read
from ablations.settings import grammar
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.cell import AXES, PLAIN
from analysis.errors import InputError
from tests.ablations.hostile.conftest import drawn

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

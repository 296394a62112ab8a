"""Command lines and files of choices that nobody would write: understood, or refused in a line; no code is run."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.grids import reading
from ablations.grids.grid import make
from ablations.settings import grammar
from ablations.settings.arguments import parse_run, parse_search
from ablations.settings.cell import AXES, PLAIN
from ablations.settings.registry import fields_of
from analysis.errors import InputError
from tests.ablations.hostile.conftest import drawn

FIELDS = [f"{axis}.{name}" for axis, choice in AXES.items() for name in fields_of(axis, choice)]
KEYS = st.one_of(
    st.sampled_from(
        [*AXES, *PLAIN, *FIELDS, "grid", "seeds", "name", "study", "trials", "launcher.workers", "fraction"]
    ),
    st.text(max_size=12),
)
NUMBERS = st.one_of(
    st.integers(-3, 40), st.floats(width=32), st.sampled_from([10**9, -(10**9), 1e300, 10**40, 2**31, 0.5])
)
TEXTS = st.text(max_size=20)
NAMES = st.sampled_from(
    ["linear", "cosine", "epsilon", "x0", "mlp", "unet", "null", "true", "auto", "_target_", "${x}"]
)
VALUES = st.recursive(
    st.one_of(NUMBERS, TEXTS, NAMES, st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
WORDS = st.one_of(
    st.builds(lambda key, value: f"{key}={value}", KEYS, VALUES),
    st.builds(lambda key, value: f"{key}={json.dumps(value)}", KEYS, VALUES),
    st.builds(
        lambda key, values: f"{key}={','.join(map(str, values))}", KEYS, st.lists(VALUES, min_size=1, max_size=3)
    ),
    st.text(max_size=30),
)
SMALL = ["data=mixture2d", "network=mlp", "network.width=4"]


def in_one_line(error):
    """Check that what a refusal says is a line that somebody can read."""
    assert 0 < len(" ".join(str(error).split())) < 2000


def made(words):
    """A grid, made as a command makes it."""
    return make(parse_run(words))


@drawn(100)
@given(words=st.lists(WORDS, max_size=4))
def test_a_command_line_is_understood_or_refused(words):
    for parse in (parse_run, parse_search):
        try:
            parse(words)
        except InputError as error:
            in_one_line(error)


@drawn(50)
@given(words=st.lists(st.builds(lambda key, value: f"{key}={value}", st.sampled_from(FIELDS), NUMBERS), max_size=3))
def test_fields_make_a_grid_or_are_refused(words):
    given_ = {word.split("=")[0] for word in words}
    kept = [word for word in SMALL if word.split("=")[0] not in given_]
    try:
        grid = made([*kept, *words])
    except InputError as error:
        in_one_line(error)
    else:
        assert len(grid.points) == 1


GRID = {
    "question": "?",
    "set": {"horizon": 50},
    "axes": [{"name": "schedule", "levels": [{"name": "linear"}, {"name": "cosine", "label": "cos"}]}],
    "baseline": {"schedule": "linear"},
    "seeds": 2,
}


@st.composite
def mutated(draw, content):
    """The same content with something in it replaced, added or taken away."""
    if draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    if isinstance(content, dict) and content:
        key = draw(st.sampled_from(sorted(content)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            return {name: value for name, value in content.items() if name != key}
        if kind == 1:
            return content | {draw(st.text(max_size=8)): draw(VALUES)}
        return content | {key: draw(mutated(content[key]))}
    if isinstance(content, list) and content:
        place = draw(st.integers(0, len(content) - 1))
        return [*content[:place], draw(mutated(content[place])), *content[place + 1 :]]
    return draw(VALUES)


@drawn(60)
@given(content=mutated(GRID), text=st.one_of(st.none(), st.text(max_size=60)))
def test_a_grids_file_is_read_or_refused(content, text, configs):
    (configs / "grid" / "mine.yaml").write_text(json.dumps(content) if text is None else text, encoding="utf-8")
    grammar.use(None)
    try:
        reading.read("mine")
        made(["grid=mine", *SMALL])
    except InputError as error:
        in_one_line(error)


@pytest.mark.parametrize("part", [{"\U00010000": 0}, {"question": "\U00010000"}], ids=["key", "value"])
def test_half_a_character_in_a_file_is_refused(part, configs):
    (configs / "grid" / "mine.yaml").write_text(json.dumps(GRID | part))
    grammar.use(None)
    with pytest.raises(InputError, match=r"half a character .* in UTF-8"):
        reading.read("mine")


CHOICE = {"name": "linear", "beta_1": 0.001, "suggests": {"time_input": "log_snr", "training.steps": 7}}


@drawn(60)
@given(content=mutated(CHOICE))
def test_a_choices_file_is_read_or_refused(content, configs):
    (configs / "schedule").mkdir(exist_ok=True)
    (configs / "schedule" / "mine.yaml").write_text(json.dumps(content), encoding="utf-8")
    grammar.use(None)
    try:
        made(["schedule=mine", *SMALL])
    except InputError as error:
        in_one_line(error)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch ran']",
        "question: !!python/name:os.system",
        "a: &a [*a]",
        "&a [*a, *a]",
        "question: ${oc.env:HOME}",
        "_target_: os.system",
        "a: &a [x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c]",
    ],
)
def test_no_file_of_choices_runs_code_or_grows(text, configs):
    (configs / "grid" / "mine.yaml").write_text(text, encoding="utf-8")
    grammar.use(None)
    with pytest.raises(InputError):
        reading.read("mine")
    assert not (configs.parent / "ran").exists()

"""Texts that stand for more than a memory holds are refused before they are expanded."""

from __future__ import annotations

import pytest

from ablations.settings import bounds, grammar
from ablations.settings.arguments import parse_run, parse_search
from analysis.errors import InputError

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("parse", "word", "message"),
    [
        (parse_run, "training.batch=range(1,1000000000)", "range may hold at most 100000 values"),
        (parse_run, "training.batch=shuffle(range(1,1000000000))", "range may hold at most 100000 values"),
        (parse_run, f"training.batch=range(1,1{'0' * 400})", "cannot be read as key=value"),
        (parse_run, "training.learning_rate=range(0.0,1.0,1e-300)", "range may hold at most 100000 values"),
        (parse_run, "training.learning_rate=range(0.0,1.0,0.0)", "range holds no value from 0 to 1 by 0"),
        (parse_run, "training.batch=range(5,1)", "range holds no value from 5 to 1 by 1"),
        (parse_search, "training.batch=range(1,1000000000,1)", "range may hold at most 100000 values"),
        (parse_search, "training.learning_rate=tag(lgo,interval(1e-4,1e-2))", "no tag called 'lgo' here: there is log"),
        (
            parse_search,
            "training.batch=tag(log,range(1,9,2))",
            "no tag called 'log' here: there is log, of an interval",
        ),
    ],
)
def test_a_range_or_tag_that_means_nothing_is_refused_at_once(parse, word, message):
    with pytest.raises(InputError, match=message) as error:
        parse([word])
    assert word in str(error.value)


def test_ranges_and_tags_with_a_meaning_are_read():
    assert parse_run(["training.batch=range(16,64,16)"]).settings == {"training.batch": [16, 32, 48]}
    assert parse_run(["training.batch=range(5,1,-2)"]).settings == {"training.batch": [5, 3]}
    asked = parse_search(["horizon=range(50,151,50)", "training.learning_rate=tag(log,interval(1e-4,1e-2))"])
    assert asked.ranges["horizon"] == grammar.Range(50, 150, step=50)
    assert asked.ranges["training.learning_rate"] == grammar.Range(1e-4, 1e-2, log=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"mine.yaml may come to at most 50000 names and values, its aliases \(\*\) spelt out"),
        ("a: &a [*a]", r"mine\.yaml may come to at most 50000"),
        ("#" * 1_000_001, "mine.yaml may have at most 1000000 bytes, got 1000001"),
    ],
    ids=["bomb", "circle", "long"],
)
def test_a_file_that_comes_to_too_much_is_refused(text, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        grammar._read(path, "grid", "mine", 0)


def test_a_file_that_another_builds_on_may_not_either(tmp_path):
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "base.yaml").write_text(BOMB, encoding="utf-8")
    (tmp_path / "grid" / "broken.yaml").write_text("a: [*", encoding="utf-8")
    path = tmp_path / "grid" / "mine.yaml"
    path.write_text("defaults: [base]\nquestion: '?'\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"base.yaml may come to at most 50000"):
        grammar._read(path, "grid", "mine", 0)


def test_aliases_are_counted_as_what_they_stand_for(tmp_path, monkeypatch):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a [x, y]\nb: [*a, *a]", encoding="utf-8")
    # The mapping, two names, the list of three nodes, and a list of two such.
    monkeypatch.setattr(bounds, "MOST_NODES", 13)
    assert grammar._read(path, "grid", "mine", 0)["b"] == [["x", "y"], ["x", "y"]]
    monkeypatch.setattr(bounds, "MOST_NODES", 12)
    with pytest.raises(InputError, match="at most 12"):
        grammar._read(path, "grid", "mine", 1)


def test_a_file_without_the_name_of_its_choice_is_told_so(configs):
    with pytest.raises(
        InputError, match=r"configs/schedule/mine\.yaml lacks `name`, the schedule whose values it holds"
    ):
        read_schedule(configs, "beta_1: 0.001\n")


@pytest.mark.parametrize("text", ["'0'", "0", "[]", "- a"])
def test_a_file_of_no_lines_is_told_so(text, configs):
    with pytest.raises(InputError, match=r"mine\.yaml (must hold `key: value` lines|cannot be read)"):
        read_schedule(configs, text)


def read_schedule(configs, text):
    (configs / "schedule").mkdir(exist_ok=True)
    (configs / "schedule" / "mine.yaml").write_text(text, encoding="utf-8")
    grammar.load("schedule", "mine")

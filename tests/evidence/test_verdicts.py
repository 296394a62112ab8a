"""Verdicts that are others than they were: of two small answers, each change once, with its reason."""

from evidence.verdicts import rows

CELLS = [{"cell_id": name, "name": name.upper()} for name in "abc"]


def answers(verdicts, fates, primary=(True, True), scale="linear"):
    """The part of answers.json that is compared: b and c against a, and claims."""
    pairs = zip((1, 2), verdicts, primary, strict=True)
    return {
        "cells": CELLS,
        "metrics": [{"name": "nll/test", "label": "NLL"}],
        "comparisons": [
            {"metric": "nll/test", "a": i, "b": 0, "verdict": word, "primary": first, "scale": scale}
            for i, word, first in pairs
        ],
        "claims": [{"claim": name, "fate": fate, "listed": False} for name, fate in fates.items()],
    }


def test_each_change_is_told_with_its_reason():
    was = answers(("better", "worse"), {"first": "cannot tell", "second": "contrary to the paper"})
    now = answers(
        ("better", "cannot tell"), {"first": "cannot tell", "second": "too early to say", "third": "as published"}
    )
    told = list(rows("small", was, now))
    assert [of[:3] for of in told] == [
        ("small, NLL: C against A", "worse", "cannot tell"),
        ("small: second", "contrary to the paper", "too early to say"),
        ("small: third", "not asked", "as published"),
    ]
    assert list(rows("small", was, was)) == []
    declared = answers(("worse", "worse"), {}, primary=(True, False))
    assert [of[3].split(",")[0] for of in rows("small", was, declared)] == ["among the declared comparisons"]
    logs = answers(("better", "cannot tell"), {}, scale="log")
    assert [of[3].split(",")[0] for of in rows("small", was, logs)] == ["compared by its logarithm"]

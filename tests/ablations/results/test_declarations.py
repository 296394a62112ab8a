"""Declarations are kept as they were made: appended where they change, and never taken away."""

import pytest

from ablations.results import folder
from ablations.results.folder import declared

HEAD = {"name": "g", "cells": {"a": {}}, "baseline": {"loss": "simple"}, "primary": [], "expects": [{"claim": "a"}]}
BEFORE = HEAD | {"round": {"finished": 1}}


@pytest.fixture
def clock(monkeypatch):
    """Times that are counted."""
    times = (f"t{i}" for i in range(9))
    monkeypatch.setattr(folder, "utc_now", lambda: next(times))


def said(**changes):
    return {key: HEAD[key] for key in folder.SAID} | changes


@pytest.mark.usefixtures("clock")
def test_the_first_is_kept_with_its_time_and_the_same_again_leaves_it():
    first = declared(None, HEAD)
    assert first == [{"time": "t0", "seen": False, **said()}]
    assert declared(BEFORE | {"declarations": first}, HEAD | {"question": "another"}) == first


@pytest.mark.usefixtures("clock")
def test_a_change_is_appended_and_a_change_back_too():
    first = declared(None, HEAD)
    second = declared(BEFORE | {"declarations": first}, HEAD | {"expects": []})
    third = declared(BEFORE | {"declarations": second, "round": {"finished": 0}}, HEAD)
    assert second == [*first, {"time": "t1", "seen": True, **said(expects=[])}]
    assert third == [*second, {"time": "t2", "seen": False, **said()}]


@pytest.mark.usefixtures("clock")
def test_of_a_folder_that_kept_none_the_first_is_of_a_time_that_is_not_known():
    unknown = {"time": None, "seen": False, **said()}
    assert declared(HEAD, HEAD) == [unknown]
    later = {"time": "t0", "seen": True, **said(primary=[{"compare": {"loss": "x"}}])}
    assert declared(HEAD, HEAD | {"primary": later["primary"]}) == [unknown, later]

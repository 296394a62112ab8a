"""The answers of committed grids, computed from their files, each once in a process."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from analysis.exports import answers_json
from analysis.findings.answers import Answers
from analysis.read.runs import read_folder
from evidence.freshness import COMMITTED


@cache
def answers_of(name: str) -> dict[str, Any]:
    """The content of answers.json of a committed grid."""
    found: dict[str, Any] = json.loads(json.dumps(answers_json(Answers.of(read_folder(COMMITTED / name)))))
    return found

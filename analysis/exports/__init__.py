"""answers.json: what was found of a grid as data for other programs; `docs/answers.md` explains every key.

    Answers ─ contents ─▶ AnswersFile ─▶ results/<grid>/answers.json ─▶ AnswersFile

Floats have seven digits, as runs.csv has them, so that a file is the same bytes wherever it is made; what is not finite
is null. A grid that was not run in rounds has no key `round`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from analysis.exports.contents import answers_file
from analysis.exports.schema import AnswersFile
from analysis.findings.answers import Answers
from analysis.format.errors import InputError
from analysis.format.files import write_text

FILE = "answers.json"


def answers_json(answers: Answers) -> str:
    """The text of answers.json."""
    content = asdict(answers_file(answers))
    if content["round"] is None:
        del content["round"]
    return json.dumps(_plain(content), ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def write_answers(answers: Answers, folder: Path | str) -> None:
    """Write answers.json of a results folder."""
    write_text(Path(folder) / FILE, answers_json(answers))


def read_answers(path: Path | str) -> AnswersFile:
    """An answers.json, without keys that its schema lacks; InputError where it is missing or of another version."""
    file = Path(path)
    if not file.is_file():
        raise InputError(f"{file} is missing: `python -m ablations.run grid=NAME` writes it at the end of a grid")
    try:
        return TypeAdapter(AnswersFile).validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{file} is no answers.json of this version: {where}: {first['msg']}") from error


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value

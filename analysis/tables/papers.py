"""papers.yaml → the published tables that ours are set beside.

The classes in `published.py` are the schema. What the file names of published.csv is there: columns, words, metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from analysis.format.errors import InputError, unknown
from analysis.tables.published import PaperTable, published

PAPERS = Path(__file__).parents[1] / "papers.yaml"


@cache
def papers() -> Mapping[str, PaperTable]:
    """The tables that ship, by name."""
    return read_papers(PAPERS)


def read_papers(path: Path) -> dict[str, PaperTable]:
    """The tables of a file, by name; InputError where it is not such a file, or not one of this published.csv."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        tables = TypeAdapter(dict[str, PaperTable], config=ConfigDict(extra="forbid")).validate_python(given)
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path} is no list of published tables: {where}: {first['msg']}") from error
    for name, table in tables.items():
        _check(table, f"{path}: {name}")
    return tables


def _check(table: PaperTable, source: str) -> None:
    """InputError where a table names what published.csv has not."""
    words_of = {str(column): set(texts) for column, texts in published().items()}
    named = [
        *(("dataset", dataset) for dataset in table.data),
        *(("metric", metric) for metric in table.metrics.values()),
        *((wording.column, word) for wording in table.wordings for word in wording.spoken),
        *((column, "") for column in (*table.beside.values(), *table.along)),
    ]
    for column, word in named:
        if column not in words_of:
            raise unknown(f"column of published.csv (in {source})", column, words_of)
        if word and word not in words_of[column]:
            raise InputError(f"{source}: no row of published.csv has {word!r} as its {column}")
    if not table.rows():
        raise InputError(f"{source}: published.csv has no row of it ({table.paper}, {', '.join(table.tables)})")

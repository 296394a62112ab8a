"""docs/answers.md, made of the schema of answers.json and of committed files.

python -m tests.analysis.exports.page > docs/answers.md
"""

from __future__ import annotations

import json

from analysis.exports import VERSION, AnswersFile
from evidence.answers import answers_of
from evidence.freshness import marks_of

EXAMPLES = {
    "costs": "latent",
    "fronts": "latent",
    "weights": "parameterization",
    "optimism": "search-schedule",
    "rungs": "parameterization-long",
    "courses": "parameterization-long",
}
"""The grid that an entry's example is from, where it is not `steps`."""
HEAD = f"""# answers.json

`results/<grid>/answers.json` says what was found of a grid, as data for other programs. It is written with the table,
by the same command or by `python -m analysis.report grid=NAME`, and holds every number and verdict that table, figures
and report show: a program that reads it has no statistics of its own to do. Cells are referred to by their place in the
list `cells`, counted from 0.

    import json
    answers = json.load(open("results/steps/answers.json"))
    for headline in answers["headlines"]:
        print(headline["sentence"], [answers["cells"][i]["name"] for i in headline["leaders"]])

`analysis.exports.read_answers(path)` reads the same, and checks it against the schema, which is
`AnswersFile.model_json_schema()`. This page is made of it, at version {VERSION}.

Numbers have seven digits. What is not known, or is not finite, is null. All intervals are of 95 %.
[statistics.md](statistics.md) has the rules behind every p and verdict.

A *preliminary* file is of a round that is neither a planned look nor the end of the plan: no verdict is due in it.
Its headlines name who leads, its comparisons are `open`, and `leaders`, `as_good`, `claims`, `effects`, `averages`,
`fronts`, `rungs`, `courses` and `optimism` are empty."""


def page() -> str:
    """The page, as Markdown."""
    schema = AnswersFile.model_json_schema(mode="serialization")
    parts = [HEAD, "## The file", _table(schema["properties"])]
    for key, field in schema["properties"].items():
        name = _class_of(field)
        if name is not None:
            entry = schema["$defs"][name]
            parts += [f"## {key}", " ".join(entry["description"].split()), _table(entry["properties"]), *_example(key)]
    return "\n\n".join(parts) + "\n"


def _class_of(field: dict) -> str | None:
    """The class of what is in a key, or in its list."""
    of = field.get("items", field)
    named = next((one["$ref"] for one in (of, *of.get("anyOf", ())) if "$ref" in one), None)
    return named and named.rpartition("/")[2]


def _table(fields: dict) -> str:
    """A row per key; one that has a part of the page below leads there."""
    links = {
        key: f"[`{key}`](#{key})" if _class_of(field) not in (None, "Level") else f"`{key}`"
        for key, field in fields.items()
    }
    lines = [f"| {links[key]} | {' '.join(field['description'].split())} |" for key, field in fields.items()]
    return "\n".join(["| key | what it is |", "|---|---|", *lines])


def _example(key: str) -> list[str]:
    folder = EXAMPLES.get(key, "steps")
    entries = answers_of(folder).get(key)
    if not isinstance(entries, list) or key == "axes":
        return []
    text = json.dumps(entries[0], ensure_ascii=False, indent=1)
    marks = "; ".join(marks_of(folder))
    return [f"From `results/committed/{folder}`{f' ({marks})' if marks else ''}:", f"```json\n{text}\n```"]


if __name__ == "__main__":
    print(page(), end="")

"""The committed grids on one page: what each was run for, what it could tell, and what became of each paper's claim. It
rebuilds `docs/claims.md`:

python -m evidence.claims > docs/claims.md
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from analysis.findings.costs import work_seconds
from analysis.read.runs import read_folder
from evidence import markdown
from evidence.committed_grid import CommittedGrid
from evidence.freshness import COMMITTED, marks_of

FATES = ("as published", "contrary to the paper", "no difference that matters", "too early to say", "cannot tell")
"""What may become of a claim, in the order of the page."""
TOLD = ("better", "worse")
"""Verdicts that tell two cells apart."""

HEAD = """# Papers' claims, tested

This page is for looking up whether what a paper says was found here too: what each committed grid was run for, and
what became of every claim that its file names. A claim says what a paper leads one to expect. It is tested on small
images with small networks: *contrary* says that it did not carry over to these, at this budget, and not that the
paper is wrong.

For example, a row of [{grid}](#{grid}) has the claim “{claim}”, whose source is
“{source}”.
Here, over {seeds} seeds, “{here}”:
the difference with its 95 % interval, the paper's own, and p, adjusted for what else the grid compares by this metric.
So its verdict is *{verdict}*.

Written from the grids' answers by `python -m evidence.claims > docs/claims.md`. [findings.md](findings.md)
says in words what matters most, and [statistics.md](statistics.md#papers-claims) how a claim is judged.
"""

PARTS = ("in the paper", "p = ")
"""What the numbers of a row hold that shows how to read the others."""

GRIDS = f"""Not as today: numerics of an earlier version of this code, whose digits today's does not give, or another
number of training steps than the grid's own. Comparisons are those that a grid declares, of both metrics:
told apart · equal for practical purposes · cannot tell. Claims: {" · ".join(FATES)}."""


@dataclass(frozen=True)
class Folder:
    """A committed grid with what is counted of it."""

    told: CommittedGrid

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.told.name

    @property
    def answers(self) -> dict[str, Any]:
        """What is found of it, as answers.json has it."""
        return self.told.answers

    @property
    def claims(self) -> list[dict[str, Any]]:
        """The claims that could be tested."""
        return [claim for claim in self.answers["claims"] if not claim["obstacle"]]

    @property
    def fates(self) -> Counter[str]:
        """The fates of its claims."""
        return Counter(claim["fate"] for claim in self.claims)

    @property
    def verdicts(self) -> Counter[str]:
        """The verdicts on its declared comparisons, but for those of cells that share what a metric reads."""
        return Counter(
            pair["verdict"]
            for pair in self.answers["comparisons"]
            if pair["primary"] and not (pair["difference"] == pair["half_width"] == 0)
        )

    @cached_property
    def hours(self) -> float:
        """The hours of one core that its stages took; what cells share counts once."""
        return work_seconds(read_folder(COMMITTED / self.name).runs) / 3600

    @property
    def row(self) -> list[str]:
        """Its row in the table of grids."""
        fates, verdicts = self.fates, self.verdicts
        told = sum(verdicts[verdict] for verdict in TOLD)
        return [
            f"[{self.name}](../results/committed/{self.name}/table.md)",
            self.answers["data"],
            str(len(self.answers["cells"])),
            str(self.told.seeds),
            f"{self.hours:.1f}",
            ", ".join(marks_of(self.name)) or "–",
            f"{told} · {verdicts['equal']} · {verdicts['cannot tell']}",
            " · ".join(str(fates[fate]) for fate in FATES) if fates else "–",
        ]

    @property
    def section(self) -> str:
        """Its claims, a row each."""
        told = f"[{self.answers['question']}](../results/committed/{self.name}/table.md)"
        first = f"{told} {self.answers['data']}, {self.told.seeds} seeds{self.told.marks}."
        rows = [(claim["claim"], claim["source"], here(claim), verdict(claim)) for claim in self.claims]
        table = markdown.table(("claim", "source", "here", "verdict"), rows)
        return "\n".join([f"## {self.name}", "", first, "", *table, ""])


def here(claim: dict[str, Any]) -> str:
    """The numbers that decided on a claim: what its sentence says after claim and source."""
    text: str = claim["sentence"]
    return text[text.index(f"{claim['source']}; here") + len(f"{claim['source']}; here") : -2].lstrip(", ")


def verdict(claim: dict[str, Any]) -> str:
    """The fate of a claim; that of one which was declared after results confirms nothing."""
    return f"{claim['fate']}{', exploratory' if claim['exploratory'] else ''}"


def folders() -> list[Folder]:
    """The committed grids; searches claim nothing."""
    every = [Folder(CommittedGrid(path.parent.name)) for path in sorted(COMMITTED.glob("*/grid.json"))]
    return [folder for folder in every if "search" not in folder.told.grid]


def fates_of(grids: list[Folder]) -> Counter[str]:
    """The fates of all claims of these grids."""
    return sum((folder.fates for folder in grids), Counter())


def beginning(grids: list[Folder]) -> str:
    """What the page is for, with its shortest row that has all `PARTS` as an example."""
    rows = [
        (folder, {"claim": claim["claim"], "source": claim["source"], "here": here(claim), "verdict": verdict(claim)})
        for folder in grids
        for claim in folder.claims
    ]
    telling = [row for row in rows if all(part in row[1]["here"] for part in PARTS)]
    folder, words = min(telling, key=lambda row: sum(map(len, row[1].values())))
    return HEAD.format(grid=folder.name, seeds=folder.told.seeds, **words)


def document() -> str:
    """The content of docs/claims.md."""
    grids = folders()
    told = [folder for folder in grids if folder.claims]
    fates = fates_of(told)
    of_fates = ", ".join(f"**{fates[fate]}** {fate}" for fate in FATES if fates[fate])
    verdicts = sum((folder.verdicts for folder in grids), Counter())
    told_apart = sum(verdicts[verdict] for verdict in TOLD)
    first = (
        f"{fates.total()} claims were tested in {len(told)} grids: {of_fates}.\nOf {verdicts.total()} comparisons that "
        f"the grids declare, {told_apart} are told apart, {verdicts['equal']} are equal for practical purposes, and\n"
        f"{verdicts['cannot tell']} cannot be told, of both metrics."
    )
    head = ("grid", "data", "cells", "seeds", "core-hours", "not as today", "comparisons", "claims")
    table = markdown.table(head, (folder.row for folder in grids))
    every = "\n".join(["## The committed grids", "", GRIDS, "", *table, ""])
    return "\n".join([beginning(told), first, "", every, *(folder.section for folder in told)])


if __name__ == "__main__":
    print(document(), end="")

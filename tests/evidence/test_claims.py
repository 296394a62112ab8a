"""The page of claims is what its program writes, and has a row for each claim that a grid's file names."""

from collections import Counter

from evidence.claims import page, place
from evidence.freshness import COMMITTED, ROOT, committed

PAGE = ROOT / "docs" / "claims.md"


def test_the_page_of_claims_is_that_of_the_committed_grids():
    assert PAGE.read_text(encoding="utf-8") == page() + "\n", "run python -m evidence.claims > docs/claims.md"


def test_every_claim_has_a_row_with_its_outcome():
    said = [claim for path in COMMITTED.iterdir() for claim in committed(path.name).meta.expects]
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith(("as published", "contrary", "cannot tell"))]
    assert len(rows) == len(said)
    assert {claim.claim for claim in said} == {row[1] for row in rows if not row[1].startswith("… in ")}
    outcomes = Counter(row[0].split(",")[0] for row in rows)
    assert f"Of {len(said)} claims, {outcomes['as published']} came out *as published*" in " ".join(lines)


def test_a_source_is_the_paper_and_the_place_in_it():
    assert place("VDM, Fig. 4b, 0.53 against 31.6") == "VDM, Fig. 4b"
    linked = "[Lin et al. 2024](https://arxiv.org/abs/2305.08891), Table 2"
    assert place("Lin et al. 2024 (arXiv 2305.08891), Table 2, 21.66 against 22.96") == linked

"""No field of a CSV file is a formula to a spreadsheet, numbers stay numbers, and all comes back as it was."""

import csv
import io

import pytest

from ablations.results.csv_text import csv_text
from analysis.csv_files import parse_csv
from analysis.errors import InputError
from analysis.guarded import guarded, read_back

STARTS = tuple("=+-@\t\r＝＋－＠")
"""What OWASP lists of how a field begins that is run."""
FORMULAS = ["=1+1", "+1+1|cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "=", "-", "--x", "'=1", "''=1", "−5 = x"]
NUMBERS = ["-1.5", "+2", "-1e-05", "-inf", "nan", "0", "3"]
TEXTS = ["plain", "'quoted'", "it's", "", "a=b", "−5"]


def test_formulas_are_guarded_and_nothing_else_and_all_come_back():
    for text in [*FORMULAS, *NUMBERS, *TEXTS]:
        assert read_back(guarded(text)) == text
        assert guarded(text) == (f"'{text}" if text in FORMULAS[:-1] else text), text


def test_files_are_guarded_and_read_back_with_their_heads():
    columns = ["cell_id", "=head", "reason", "nll/test"]
    lines = [{"cell_id": "a", "=head": "x", "reason": text, "nll/test": "-1.25"} for text in [*FORMULAS, *TEXTS]]
    text = csv_text(columns, lines)
    fields = [field for row in csv.reader(io.StringIO(text, newline="")) for field in row]
    assert [field for field in fields if field.startswith(STARTS)] == ["-1.25"] * len(lines)
    read = parse_csv(text.encode(), columns, "file")
    assert list(read.columns) == columns
    assert read["reason"].tolist() == [line["reason"] for line in lines]
    assert set(read["nll/test"]) == {"-1.25"}


ELSEWHERE = [("cell_id", text) for text in ("../../etc/x", "/etc/x", "..", "a/b", "a\\b", ".hidden", "a'b")]


@pytest.mark.parametrize(
    ("column", "text"), [*ELSEWHERE, *((name, "..") for name in ("training_id", "autoencoder_id", "seed"))]
)
def test_an_id_that_leads_elsewhere_is_refused(column, text):
    content = csv_text([column, "status"], [{column: text, "status": "finished"}]).encode()
    with pytest.raises(InputError, match=f"the column '{column}' holds .*, which is no id"):
        parse_csv(content, [column], "runs.csv")

"""What is said of a papers.yaml that is none, or that does not fit published.csv."""

import tomllib

import pytest

from analysis.errors import InputError
from analysis.tables.published import PAPERS, read_papers

VDM = """
vdm:
  paper: VDM (Kingma 2021)
  tables: [Table 2]
  cited: Table 2
  data: {CIFAR-10 no aug: CIFAR-10 32×32}
  metrics: {nll: NLL bits/dim test (VLB)}
  wordings:
    - {column: objective, parameters: [objective, horizon], words: {"vlb, *": VLB discrete}}
  along: [steps_eval]
  defined: a bound
"""


def read(tmp_path, text):
    path = tmp_path / "papers.yaml"
    path.write_text(text, encoding="utf-8")
    return read_papers(path)


def test_a_table_is_read(tmp_path):
    (table,) = read(tmp_path, VDM).values()
    assert table.tables == ("Table 2",)
    assert table.wordings[0].spoken == {"VLB discrete"}
    assert len(table.rows()) > 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (VDM, "", "is no list of published tables: the file: Input should be a valid dictionary"),
        (VDM, "a: [b", "cannot be read as YAML: while parsing"),
        ("cited: Table 2", "cites: Table 2", "is no list of published tables: vdm.cit"),
        ("Table 2]", "2]", "is no list of published tables: vdm.tables.0: Input should be a valid string"),
        ('"vlb, *"', "vlb", r"vdm.wordings.0: Value error, 'vlb' is not one value each of objective, horizon"),
        (
            "column: objective",
            "column: objectives",
            r"no column of .*yaml: vdm\) called 'objectives': .* 'objective'\?",
        ),
        ("VLB discrete", "VLB at ease", "vdm: no row of published.csv has 'VLB at ease' as its objective$"),
        ("CIFAR-10 no aug", "CIFAR-100", "vdm: no row of published.csv has 'CIFAR-100' as its dataset$"),
        ("nll: NLL", "nll: BPD", "vdm: no row of published.csv has 'BPD .*' as its metric$"),
        ("[steps_eval]", "[steps]", "no column of .* called 'steps'"),
        ("tables: [Table 2]", "tables: [Table 7]", r"vdm: published.csv has no row of it \(VDM .*, Table 7\)$"),
    ],
)
def test_what_is_wrong_is_one_line(old, new, message, tmp_path):
    assert old in VDM
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, VDM.replace(old, new))
    assert "\n" not in str(error.value)
    assert "papers.yaml" in str(error.value)


def test_it_ships_with_the_package():
    settings = tomllib.loads((PAPERS.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    shipped = settings["tool"]["setuptools"]["package-data"]["analysis"]
    assert PAPERS in {path for pattern in shipped for path in PAPERS.parent.glob(pattern)}

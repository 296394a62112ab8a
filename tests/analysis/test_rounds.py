"""Pages of rounds: preliminary ones name who leads and hold no verdict, the last one is as if there had been one alone;
and they may be written beside the command that goes on, in a process of its own."""

import csv
import html
import io
import json
import multiprocessing
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from analysis import figures, pages, tables
from analysis.errors import InputError, NothingYet, unknown
from analysis.exports import answers_json, read_answers
from analysis.figures.differences import differences_figure
from analysis.figures.drawing import styled
from analysis.findings.best import best
from analysis.report import report
from analysis.report.__main__ import main as report_command
from analysis.report.files import Files
from analysis.tables import read_through
from analysis.words.verdicts import headline
from tests.analysis import rounds
from tests.analysis.conftest import FID, IS, NLL, answers_of, meta, pipe, terminal
from tests.analysis.rounds import END, FIRST, NLL_VAL, NONE, PLANNED, WHOLE

VERDICTS = re.compile(r"\b(?:better|worse|equal|settled|bold|\*\*|cannot tell|as published|contrary)\b", re.IGNORECASE)
BANNER = (
    "Preliminary: after a quarter of the training (125 of 500 steps), 3 of 5 seeds; no verdict yet. "
    "Verdicts come with the end of the plan."
)
# Seeds 0, 1, 2 of ε · MSE have 40 ± 2 at the rung: ± 4.302653 · 2/√3. Of μ̃ · MSE at ε-weight 1 they have 52, 50, 48,
# so that the logarithms of the ratios are ln 52/38, ln 50/40, ln 48/42.
RATIOS = np.log([52 / 38, 50 / 40, 48 / 42])
HALF = 4.302653 * RATIOS.std(ddof=1) / np.sqrt(3)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The pages of the first round, and what the terminal shows."""
    folder = rounds.in_round(tmp_path_factory.mktemp("first") / "results" / "parameterization")
    return folder, pages.write_pages(folder)


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    """The files of the second: whole trainings, of which some of later seeds are there too."""
    return over(tmp_path_factory.mktemp("second") / "results" / "parameterization", WHOLE)


def over(path, now):
    """A folder in which all trainings are over, in this round."""
    return rounds.in_round(path, rounds.ended(), list(rounds.rungs(seeds=PLANNED)), round=now)


def seen(page):
    """The texts of a page, those of its pictures too."""
    text = re.sub(r"<(style|script)>.*?</\1>|data:image[^\"]*|</?abbr[^>]*>", "", page, flags=re.DOTALL)
    alternatives = " ".join(re.findall(r'(?:alt|aria-label)="([^"]*)"', text))
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text) + alternatives).split())


def texts_of(value):
    """All strings of a JSON value, without its keys."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts_of(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_of(part)]
    return [value] if isinstance(value, str) else []


def everything(answers):
    """All that pages say, without their figures, and without the question, which is the user's own."""
    found = {form: tables.render(answers, form) for form in tables.SUFFIXES}
    found["report"] = seen(report(answers, {}, read_through(answers), Files(Path())))
    found["answers"] = "\n".join(texts_of(answers_json(answers)))
    found["terminal"] = pages.in_words(answers)
    return {name: " ".join(text.split()).replace(meta()["question"], "") for name, text in found.items()}


def words_in(figure):
    """The texts of a figure."""
    return {text.get_text() for text in figure.findobj(Text)}


def test_a_preliminary_page_holds_no_word_of_a_verdict(first, second):
    for folder in (first[0], second):
        found = everything(answers_of(folder))
        assert {name: VERDICTS.findall(text) for name, text in found.items() if VERDICTS.search(text)} == {}
        assert "**" not in found["markdown"]
        assert r"\textbf" not in found["latex"]
        assert all("Preliminary: " in text for text in found.values())
    page = seen((first[0] / "report.html").read_text(encoding="utf-8"))
    assert not VERDICTS.search(page.replace(meta()["question"], ""))


def test_a_preliminary_round_has_figures_for_the_screen_alone(first):
    assert sorted(path.name for path in (first[0] / "figures").iterdir()) == ["differences.png", "metrics.png"]


def test_the_figure_of_differences_has_sides_and_no_verdicts(first, tmp_path):
    with styled():
        preliminary = words_in(differences_figure(answers_of(first[0])))
        final = words_in(differences_figure(answers_of(over(tmp_path / "grid", END))))
    assert {"◂ below", "above ▸"} <= preliminary
    assert {"◂ better", "worse ▸", "worse"} <= final
    assert not any(VERDICTS.search(text) for text in preliminary)


def test_the_last_page_has_the_words_again_and_names_its_round(tmp_path):
    folder = over(tmp_path / "grid", END)
    found = everything(answers_of(folder))
    assert all(VERDICTS.search(found[name]) for name in ("markdown", "report", "answers", "terminal"))
    assert not any("reliminary" in text for text in found.values())
    assert found["markdown"].count("; round 3 of 3.") == 1
    assert "5 paired seeds · round 3 of 3" in found["report"]
    alone = everything(answers_of(rounds.write(folder, rounds.ended(), list(rounds.rungs(seeds=PLANNED)), round=None)))
    assert {name for name in found if found[name] != alone[name]} == {"markdown", "latex", "report"}
    assert found["markdown"].replace("; round 3 of 3", "") == alone["markdown"]


def test_who_leads_is_named_with_intervals(first):
    folder, said = first
    by = np.exp([RATIOS.mean(), RATIOS.mean() - HALF, RATIOS.mean() + HALF])
    half = 4.302653 * 2 / np.sqrt(3)
    sentence = (
        f"ε · unweighted MSE leads in FID: 40.0 ({40 - half:.1f} to {40 + half:.1f}); next μ̃ · MSE at ε-weight 1, by a "
        f"factor of {by[0]:.2f} ({by[1]:.2f} to {by[2]:.2f})."
    )
    told = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    by_metric = {one["metric"]: one for one in told["headlines"]}
    assert by_metric[FID]["sentence"] == sentence
    assert told["cells"][by_metric[FID]["best"]]["name"] == "ε · unweighted MSE"
    assert (by_metric[FID]["leaders"], by_metric[FID]["as_good"], by_metric[FID]["rivals"]) == ([], [], [])
    # ε · L of 2.50 and ε · MSE of 2.54, times 1.5, at each seed.
    assert by_metric[NLL_VAL]["sentence"].endswith(
        "next ε · unweighted MSE, by 0.060 (0.060 to 0.060) bits/dim. No cell reaches a histogram per pixel "
        "(2.43 bits/dim) yet."
    )
    assert sentence in " ".join(said.split())
    assert " ".join(said.split("\n\n")[0].split()) == BANNER


def test_comparisons_are_listed_without_a_verdict(first):
    folder, _ = first
    told = read_answers(folder / "answers.json")
    assert {pair.verdict for pair in told.comparisons} == {"open"}
    sure = {(pair.adjusted_p, pair.equal_p, pair.settled_at, pair.fresh_seeds) for pair in told.comparisons}
    assert sure == {(None, None, None, None)}
    names = [cell.name for cell in told.cells]
    pair = next(one for one in told.comparisons if one.metric == FID and names[one.a] == "μ̃ · MSE at ε-weight 1")
    assert pair.difference == pytest.approx(RATIOS.mean())
    assert pair.half_width == pytest.approx(HALF)
    assert pair.sentence.startswith("FID: μ̃ · MSE at ε-weight 1 is above ε · unweighted MSE by a factor of 1.25 (")
    assert (told.claims, told.effects, told.averages, told.fronts, told.rungs, told.courses) == ((),) * 6
    assert not any(one.may_be_best for one in told.estimates)


def test_which_round_it_is_stands_in_the_answers(first, second):
    told = read_answers(first[0] / "answers.json")
    assert (told.round.number, told.round.of, told.round.seeds, told.round.planned_seeds) == (1, 3, 3, 5)
    assert (told.round.rung, told.round.steps, told.round.preliminary) == (True, (125, 125), True)
    assert told.round.sentence == BANNER
    assert {status for cell in told.cells for status in cell.runs} == {"scored", "not scored", "diverged"}
    later = answers_json(answers_of(second))
    assert (later["round"]["rung"], later["round"]["steps"], later["seeds"]) == (False, None, [0, 1, 2])
    assert later["round"]["sentence"].startswith("Preliminary: 3 of 5 seeds; no verdict yet.")


def test_a_table_as_csv_says_what_it_is(first):
    rows = list(csv.DictReader(io.StringIO((first[0] / "table.csv").read_text(encoding="utf-8"))))
    assert [row["note"] for row in rows if row["row"] == "round"] == [BANNER]
    assert f"{FID} bold" not in rows[0]
    epsilon = next(row for row in rows if (row["parameterization"], row["loss"]) == ("epsilon", "simple"))
    assert [float(epsilon[f"{name} mean"]) for name in (NLL_VAL, FID, IS)] == pytest.approx([3.81, 40.0, 16.8])


def test_the_report_has_no_part_that_only_verdicts_need(first):
    page = (first[0] / "report.html").read_text(encoding="utf-8")
    titles = [html.unescape(title) for title in re.findall(r"<h2[^>]*>(.*?)</h2>", page)]
    first_half = ["Who leads", "Table", "How cells differ so far", "What else differed"]
    assert titles == [*first_half, "Noise", "What was not scored", "Where it comes from", "Words"]
    assert "7 of 33 runs were not scored. Means and intervals are over the seeds that were." in seen(page)


def test_pages_say_the_same_however_far_the_files_have_grown(first, tmp_path):
    """grid.json is read first: runs, curves and samples may be those of a later round by then, with more seeds."""
    more = [row | {"seed": 9} for row in rounds.ended() if row["seed"] == 0]
    points = list(rounds.rungs(steps=(125, 250, 400), seeds=(*PLANNED, 9)))
    later = rounds.in_round(tmp_path / "results" / "parameterization", [*rounds.ended(), *more], points)
    (later / "samples" / "epsilon-simple-9.png").write_bytes((later / "samples" / "epsilon-simple-1.png").read_bytes())
    assert everything(answers_of(later)) == everything(answers_of(first[0]))
    assert figures.samples_figure(answers_of(later)) is None


def test_files_that_grow_once_a_page_is_begun_change_nothing(second, tmp_path):
    grown = over(tmp_path / "results" / "parameterization", WHOLE)
    answers, again = answers_of(grown), answers_of(grown)
    rounds.write(grown, rounds.ended(), list(rounds.rungs(steps=(125, 250, 400), seeds=(*PLANNED, 5))), round=END)
    assert everything(answers) == everything(answers_of(second))
    images = [f"epsilon-simple,{seed},nll/test,{value},{value}" for seed, value in ((0, 2.52), (4, 2.56))]
    (grown / "images.csv").write_text("\n".join(["cell_id,seed,metric,0,1", *images, ""]))
    assert again.grid.images.index.to_list() == [("epsilon-simple", 0, NLL)]


def test_one_seed_leads_without_an_interval(tmp_path):
    folder = rounds.in_round(tmp_path / "grid", round=FIRST | {"seeds": 1})
    (told,) = [one for one in pages.in_words(answers_of(folder)).split("\n") if "leads in FID" in one]
    assert told == "ε · unweighted MSE leads in FID: 38.0; next μ̃ · MSE at ε-weight 1, by a factor of 1.37 (one seed)."
    caption = tables.table_of(answers_of(folder)).caption
    assert "One seed, so no interval is known. " in caption
    assert "1 of 5 seeds" in tables.table_of(answers_of(folder)).question


def test_looks_are_what_verdicts_come_with_where_they_are_planned(tmp_path):
    auto = {"looks": [3, 5, 8], "stopped": {}}
    folder = rounds.in_round(tmp_path / "grid", round=FIRST, auto=auto)
    above = tables.table_of(answers_of(folder)).question
    assert "3 of up to 8 seeds; no verdict yet. Verdicts come with each planned look." in above


def test_the_share_of_the_training_is_told_in_steps_where_it_has_no_word(tmp_path):
    folder = tmp_path / "grid"
    rounds.in_round(folder, points=[(*point[:3], 100, point[4]) for point in rounds.rungs(steps=(125,))])
    assert "after 20 % of the training (100 of 500 steps)" in tables.table_of(answers_of(folder)).question


@pytest.mark.parametrize("console", [pipe(), terminal(100)], ids=["pipe", "terminal"])
def test_the_terminal_has_the_answer_the_table_and_three_comparisons(console, tmp_path):
    answers = answers_of(over(tmp_path / "grid", END))
    text = re.sub(r"\x1b\[[0-9;]*m", "", tables.terminal_table(answers, console))
    blocks = text.split("\n\n")
    best_mean = "NLL: ε · L (fixed isotropic Σ) has the best mean, 2.50 ± 0.02 bits/dim"
    assert " ".join(blocks[0].split()).startswith(best_mean)
    bullets = [line for line in text.splitlines() if line.startswith("•")]
    assert len(bullets) == 3
    # The declared pairs first, of each metric in turn, those that are better before those that are worse.
    assert bullets[0].startswith("• NLL: ε · L (fixed isotropic Σ) is better than ε · unweighted MSE by")
    assert bullets[1].startswith("• FID: ε · L (fixed isotropic Σ) is worse than ε · unweighted MSE by")
    assert bullets[2].startswith("• NLL: x₀ · unweighted MSE is worse than ε · unweighted MSE by")
    assert blocks[-1] == "… and 15 more, with all that was found, in report.html"


def test_commands_say_that_there_is_nothing_to_show(tmp_path, capsys):
    folder = rounds.in_round(tmp_path / "grid", round=NONE)
    before = sorted(path.name for path in folder.iterdir())
    for command in (tables.main, figures.main, report_command):
        assert command([f"runs={folder}"]) == 2
        assert capsys.readouterr() == ("", "error: 0 of 55 trainings finished; nothing to show yet\n")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_pages_are_written_by_a_process_of_their_own(first, tmp_path):
    """With its text, or with the error in one line."""
    nothing = rounds.in_round(tmp_path / "grid", round=NONE)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(pages.write_pages, nothing).result() == "0 of 55 trainings finished; nothing to show yet"
        with pytest.raises(InputError, match=r"grid.json is missing") as refused:
            pool.submit(pages.write_pages, first[0].parent / "another").result()
        assert type(refused.value) is InputError


@pytest.mark.parametrize("error", [InputError("a line"), NothingYet("0 of 3"), unknown("grid", "a", ["b"])])
def test_errors_come_through_a_pipe_as_they_are(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args) == (type(error), error.args)


def test_a_round_of_rungs_in_which_nothing_was_scored_has_a_page(tmp_path):
    found = everything(answers_of(rounds.in_round(tmp_path / "grid", points=[])))
    assert "No verdict." in found["report"]
    assert "not scored in 3 of 3 seeds (it has no rung, or none yet)" in found["markdown"]
    assert not VERDICTS.search(found["report"])


def test_of_many_cells_the_best_are_shown_and_no_more_is_said(first, tmp_path):
    whole = answers_of(first[0])
    cut = best(whole, 4)
    assert [cell.name for cell in cut.cells] == [whole.cells[i].name for i in sorted(cut.kept)]
    assert [headline(found) for found in cut.findings] == [headline(found) for found in whole.findings]
    assert cut.preliminary

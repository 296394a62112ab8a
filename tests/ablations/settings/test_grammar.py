"""What a command line may say, and the one line that answers a wrong one."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args

import pytest

from ablations import publish, sample
from ablations.driver import run
from ablations.metrics import registry as metrics
from ablations.settings import grammar, plugins
from ablations.settings.arguments import RUN, parse_run, parse_search
from ablations.settings.cell import AXES, PLAIN, WORDS
from ablations.settings.evaluation import Budget
from ablations.settings.grammar import Range
from ablations.settings.registry import all_fields, build
from analysis import shell
from analysis.errors import InputError
from diffusion_core.choices import FirstStepRule, Time, TimeInput

WRONG = {
    "grid=/etc/passwd": "no grid called '/etc/passwd': there are",
    "grid=parametrization": "no grid called 'parametrization'.*did you mean 'parameterization'",
    "schedul=cosine": "no setting called 'schedul'.*did you mean 'schedule'",
    "schedule=cosin": "no schedule called 'cosin': there are cosine, .*linear, .*; did you mean 'cosine'",
    "schedule=[linear,cosine]": "no schedule called .*: there are cosine",
    "launcher=slurm": "no launcher called 'slurm'",
    "horizon=-1": "horizon must be greater than or equal to 0, got -1",
    "horizon=many": "horizon must be a valid integer, got 'many'",
    "horizon=1": "horizon must be at least 2",
    "horizon=0": "horizon=0 is the autoencoder alone, which space=pixels has not: take space=latents, or horizon=1000",
    "horizon=1000000000": "horizon must be less than or equal to 100000, got 1000000000",
    "training.steps=1e12": "training.steps must be a valid integer, got 1000000000000.0: write 1000000000000$",
    "seeds=99999999": "seeds must be less than or equal to 10000 or 'auto', got 99999999",
    "schedule=[": "schedule=\\[ cannot be read: ",
    "training.stepz=3": "no field of training called 'stepz'.*did you mean 'steps'",
    "schedule=cosine schedule.beta_1=0.1": "no field of schedule=cosine called 'beta_1': there are beta_max, s",
    "evaluation.quality=[train]": "must be 'validation' or 'test', got 'train'",
    "evaluation.reference=train,test": "one reference: run it once per evaluation.reference=…",
    "evaluation.continuous=4 parameterization=mu": "evaluation.continuous=4 scores .* take parameterization=epsilon",
    "evaluation.metrics=mmd": r"evaluation.metrics must be a list, written \[A,B\], got 'mmd'",
    "evaluation.metrics=[fid,kidd]": "no metric of samples called 'kidd'.*did you mean 'kid'",
    "time_input=snr": "no time_input called 'snr': there are log_snr, t; did you mean 'log_snr'",
    "parameterization": "'parameterization' is not key=value: see --help",
    "axis:schedule=linear,cosine": "is not key=value: write schedule=linear,cosine",
    "horizon=": "horizon= has no value",
    "horizon=100 horizon=200": "horizon is given twice",
    "horizon=interval(1,5)": "an interval is for a search: python -m ablations.search horizon=",
    "schedule=linear,": "ends with a comma: values have commas between them, and no space",
    "schedule.beta_1=0.0001,1e-4": "are the same cell",
    "network.channels=4000000": "allocate|memory",
    "name=../up": "name must be at most 100 letters",
    "seeds=0,1,2": "seeds takes one value, got 3: 0, 1, 2",
    "seeds=10k": "seeds must be a valid integer or 'auto', got '10k': write 10000",
    "dry_run=maybe": "dry_run must be a valid boolean, got 'maybe'",
    "trials=3": "trials is of another command: python -m ablations.search",
    "grid=parameterization objective=vlb": "varied by the axis 'loss'.*pick its levels",
    "grid=parameterization loss=l1": "no level of loss called 'l1'",
    "grid=parameterization parameterization=mu loss=simple": "leave no cell",
    "data=digits,mixture2d": "one data set",
    "device=tpu": "device must be auto, cpu, cuda or cuda:N",
    "tracking.uri=ftp://somewhere": "is no store",
}


def one_line_error(main, arguments, capsys):
    """The line on stderr of a command that must exit with 2."""
    assert shell.outcome(main, arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("call", WRONG)
def test_wrong_call_is_one_line_and_exit_code_two(call, capsys, tmp_path):
    line = one_line_error(run.main, [*call.split(), f"results={tmp_path}"], capsys)

    assert re.search(WRONG[call], line), line
    assert not list(tmp_path.glob("*/grid.json"))


@pytest.mark.parametrize(
    ("command", "call", "message"),
    [
        (sample.main, "", "cell= is missing"),
        (sample.main, "cell=abc n=0", "n must be at least 1"),
        (sample.main, "cell=abc", "no cell 'abc'"),
        (publish.main, "grid=nothing", "holds no results .*run its grid first"),
    ],
)
def test_other_commands_answer_in_one_line_too(command, call, message, capsys, tmp_path):
    line = one_line_error(command, [*call.split(), f"results={tmp_path}"], capsys)
    assert re.search(message, line), line


def test_a_results_folder_that_cannot_be_written_is_named_in_one_line(capsys):
    assert "results=/dev/null is no folder" in one_line_error(run.main, ["results=/dev/null"], capsys)
    assert shell.outcome(run.main, ["results=/dev/null/x"]) == 1
    assert re.fullmatch(r"error: .*'/dev/null/x': mend this.*\n", capsys.readouterr().err)


LIGHT = (
    "--help -m",
    "grid=parametrization training.stepps=3 training.steps=0 training.precision=fp16 schedule.beta_1=abc",
    "network.channels=many sampler.steps=ten evaluation.sede=1 evaluation.n=many horizon=10k tracking.uri=htp://x",
    "evaluation.metrics=[fidd] network.chanels=8 results=/dev/null",
    "schedule=linear+schedule.s=0.1 network=published+network.path=/nowhere study.objective=loss trials=1+storage=x.db",
)


def test_help_and_errors_about_names_and_numbers_come_without_torch():
    code = f"""
import sys
from ablations.driver import run
from ablations.search import __main__ as search
from analysis.errors import InputError

for words in {" ".join(LIGHT).split()}:
    try:
        assert not (search if "stud" in words else run).main(words.split("+"))
    except InputError:
        pass
assert not {{"torch", "mlflow", "pandas"}} & set(sys.modules), "heavy import"
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_lists_every_choice_and_word_with_its_line(capsys):
    core = {"time_input": TimeInput, "time": Time, "first_step": FirstStepRule, "budget": Budget}
    assert {key: set(words) for key, words in WORDS.items()} == {key: set(get_args(of)) for key, of in core.items()}
    assert plugins.written_metrics().keys() == {*metrics.names()}
    assert run.main(["--help"]) == 0
    text = capsys.readouterr().out
    for option, line in (entry for axis in AXES for entry in grammar.options_of(axis).items()):
        assert len(line) > 10
        assert re.search(rf"{option} +{re.escape(line)}", text)
    for key, value, line in ((key, *entry) for key, lines in WORDS.items() for entry in lines.items()):
        assert re.search(rf"{key}={value} .*{re.escape(line)}", text)


def test_values_keep_their_types_and_texts_are_as_they_were_written():
    request = parse_run(["schedule.beta_1=1e-3", "network.multipliers=[1,2]", "horizon=50,100"])
    assert request.settings == {"schedule.beta_1": [1e-3], "network.multipliers": [[1, 2]], "horizon": [50, 100]}
    named = parse_run(["results=ergebnisse für mich", "name=1.10", "data.root=007,'a,b',null,true"])
    assert (named.results, named.title) == ("ergebnisse für mich", "1.10")
    assert named.settings["data.root"] == ["007", "a,b", None, True]


def test_intervals_are_ranges_of_a_search():
    asked = parse_search(["horizon=interval(50,150)", "training.learning_rate=tag(log,interval(1e-4,1e-2))"])
    assert asked.ranges == {
        "horizon": Range(50, 150),
        "training.learning_rate": Range(1e-4, 1e-2, log=True),
    }
    for wrong in ("range(16,64,16)", "interval(1)", "tag(lgo,interval(1,2))"):
        with pytest.raises(InputError, match=r"cannot be read: there are interval"):
            parse_search([f"training.batch={wrong}"])


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("", "baseline"),
        ("horizon=50", "custom"),
        ("schedule=linear,cosine objective=simple,vlb horizon=50", "schedule-objective"),
        ("grid=steps variance=beta,learned", "steps"),
        ("schedule=linear,cosine name=mine", "mine"),
    ],
)
def test_a_grid_is_named_by_its_axes_unless_it_has_a_name(words, title):
    assert parse_run(words.split()).title == title


def test_results_lie_in_no_place_of_the_suites_own():
    for name in ("MLflow.db", "optuna.db-wal", "committed", "a" * 101):
        with pytest.raises(InputError, match=f"nothing that the suite itself keeps .*, got '{name}'"):
            parse_run([f"name={name}"])
    with pytest.raises(InputError, match="results/committed is where committed results are: give results=results,"):
        parse_search(["results=results/committed"])


MEANT = {
    "lr=1e-3": ["training.learning_rate"],
    "learnin_rate=1e-3": ["training.learning_rate"],
    "optimizer.lr=1e-3": ["training.learning_rate"],
    "trainig.steps=5": ["training.steps"],
    "T=100": ["horizon"],
    "sampler=ddpm": ["sampler=ancestral"],
    "data=CIFAR-10": ["cifar10"],
    "data=cosine": ["schedule=cosine"],
    "launcher=slurm": ["launcher=ray"],
    "grid=vlb": ["objective=vlb"],
}
"""A word → what is suggested instead."""


def test_a_word_of_elsewhere_leads_to_the_one_that_is_meant():
    for word, meant in MEANT.items():
        with pytest.raises(InputError, match=r"^no ") as error:
            parse_run([word])
        assert re.findall(r"'([^']*)'", str(error.value).partition("did you mean ")[2]) == meant


def test_what_is_suggested_exists():
    for target in (target for targets in grammar.MEANT.values() for target in targets):
        key, _, value = target.partition("=")
        axis, _, field = key.partition(".")
        known = key in RUN or key in PLAIN or axis in AXES or axis == "launcher"
        assert known, target
        assert not field or key in RUN or field in all_fields(axis), target
        assert not value or key == "device" or value in grammar.options_of(key), target


def write(folder, group, name, text):
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / f"{name}.yaml").write_text(text, encoding="utf-8")


def test_a_folder_of_ones_own_is_read(configs, tmp_path):
    write(configs, "schedule", "gentle", "# Linear, gently\nname: linear\nbeta_T: 1e-2\n")
    write(configs, "grid", "mine", "# Mine\nquestion: Which?\naxes: [{name: schedule, levels: [gentle]}]\n")
    assert grammar.options_of("schedule")["gentle"] == "Linear, gently"
    assert build("schedule", grammar.load("schedule", "gentle")).beta_T == 0.01
    assert parse_run(["grid=mine", "schedule=gentle,linear"]).grid == "mine"
    write(tmp_path / "elsewhere", "grid", "other", "# Other\nquestion: Which?\naxes: []\n")
    assert parse_run(["grid=other", f"configs={tmp_path / 'elsewhere'}"]).grid == "other"
    with pytest.raises(InputError, match="nowhere is no folder: give one with files"):
        parse_run(["configs=nowhere"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: linear\n\tbeta_1: 1\n", r"broken.yaml cannot be read: line 2, column 1: "),
        ("name: @x\n", r"broken.yaml cannot be read: line 1, column 7: "),
        ("- a", r"broken.yaml must hold `key: value` lines"),
        ("a: !!python/object/apply:os.system ['touch ran']", "broken.yaml cannot be read: .*could not determine"),
    ],
    ids=["tab", "sign", "list", "code"],
)
def test_a_file_that_cannot_be_read_is_one_line_and_help_goes_on(text, message, configs, capsys):
    write(configs, "schedule", "broken", text)
    write(configs, "schedule", "cosine", "name: linear\n")
    with pytest.raises(InputError, match=message):
        parse_run(["schedule=broken"])
    with pytest.raises(InputError, match="schedule=cosine is in two files, "):
        parse_run(["schedule=cosine"])
    assert run.main(["--help"]) == 0
    assert "broken" in capsys.readouterr().out
    assert not (configs.parent / "ran").exists()

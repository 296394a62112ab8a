"""Words of other programs, and slips: each is answered by the key or the value that is meant."""

from __future__ import annotations

import re

import pytest

from ablations.grids.reading import read
from ablations.launchers.local import Local
from ablations.settings.arguments import RUN, SEARCH, doubts, parse_run, parse_search
from ablations.settings.cell import AXES, PLAIN, WORDS
from ablations.settings.grammar import options_of
from ablations.settings.layers import check_key
from ablations.settings.registry import all_fields, field_names
from ablations.settings.request import check_device
from ablations.settings.synonyms import NOTES, NUMBERS, SYNONYMS, groups
from analysis.errors import InputError, plain

KEYS = {*RUN, *SEARCH, *AXES, *PLAIN}

MEANT = {
    "lr=1e-3": ["training.learning_rate"],
    "LR=1e-3": ["training.learning_rate"],
    "learning_rate=1e-3": ["training.learning_rate"],
    "learning-rate=1e-3": ["training.learning_rate"],
    "learnin_rate=1e-3": ["training.learning_rate"],
    "optimizer.lr=1e-3": ["training.learning_rate"],
    "training.lr=1e-3": ["training.learning_rate"],
    "trainig.steps=5": ["training.steps"],
    "batch_size=64": ["training.batch"],
    "epochs=3": ["training.steps"],
    "T=100": ["horizon"],
    "steps=1000": ["horizon", "sampler.steps", "training.steps"],
    "timesteps=1000": ["horizon"],
    "guidance=3": ["guidance.scale"],
    "metrics=[fid]": ["evaluation.metrics"],
    "beta_start=1e-4": ["schedule.beta_1"],
    "scheduler.beta_T=0.02": ["schedule.beta_T"],
    "dataset=cifar10": ["data"],
    "sampler=ddpm": ["sampler=ancestral"],
    "parameterization=ddpm": ["parameterization=epsilon"],
    "parameterization=x_0": ["x0"],
    "data=mnist": ["data=digits", "data=fashion_mnist", "data=folder"],
    "data=CIFAR-10": ["cifar10"],
    "data=cosine": ["schedule=cosine"],
    "network=transformer": ["network=dit"],
    "dit=true": ["network=dit"],
    "launcher=slurm": ["launcher=ray"],
    "wandb=true": ["tracking.uri"],
    "gpus=4": ["device"],
    "grid=vlb": ["objective=vlb"],
}
"""A word → what is suggested instead."""


@pytest.mark.parametrize("word", MEANT)
def test_a_word_of_elsewhere_leads_to_the_one_that_is_meant(word):
    with pytest.raises(InputError, match=r"^no ") as error:
        parse_run([word])
    assert re.findall(r"'([^']*)'", str(error.value).partition("did you mean ")[2]) == MEANT[word]


def exists(target: str) -> bool:
    """True for a key, or a value, that a command understands."""
    key, _, value = target.partition("=")
    if key == "device":
        return not value or check_device(value) is None
    group, _, field = key.partition(".")
    known = key in KEYS or (group in AXES and field in all_fields(group))
    known = known or (group == "launcher" and field in field_names(Local))
    allowed = options_of(key) if key in groups() else WORDS.get(key, ())
    free = key in RUN or "." in key
    return known and (not value or value in allowed or (free and parse_run([target]) is not None))


@pytest.mark.parametrize("target", [*SYNONYMS, *NUMBERS.values()])
def test_what_is_suggested_exists(target):
    assert exists(target)


@pytest.mark.parametrize("target", ["training.lr", "sampler=ddpm", "launcher.gpus", "horizn"])
def test_what_does_not_exist_is_found(target):
    assert not exists(target)


def test_a_synonym_is_no_name_that_is_understood_already_and_stands_once():
    for target, names in SYNONYMS.items():
        words = names.split()
        assert len({plain(word) for word in words}) == len(words), target
        group = target.partition("=")[0]
        assert not (set(words) & set(options_of(group)) if group in groups() and "=" in target else set()), target
    assert all(any(plain(note) in map(plain, names.split()) for names in SYNONYMS.values()) for note in NOTES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--schedule=linear"], "'--schedule=linear': keys are written without dashes: write schedule=linear"),
        (["--lr=1e-3"], "'--lr=1e-3': keys are written without dashes: write training.learning_rate=1e-3"),
        (["--batch-size", "64"], "'--batch-size': keys are written without dashes: write training.batch=VALUE"),
        (
            ["parameterization"],
            "'parameterization' is not key=value: write parameterization=… or grid=parameterization",
        ),
        (["cosine"], "'cosine' is not key=value: write schedule=cosine"),
        (["seeds:5"], "'seeds:5' is not key=value: write seeds=…"),
        (["xyzzy"], "'xyzzy' is not key=value: try --help"),
        (["seeds=10k"], "seeds must be a whole number or auto, got '10k': write 10000"),
        (["seeds=3.0"], "seeds must be a whole number or auto, got 3.0: write 3"),
        (["trials=3"], "trials is of another command: python -m ablations.search trials=…"),
        (["device=gpu"], "device must be auto, cpu, cuda or cuda:N, got 'gpu': did you mean cuda?"),
        (["device=0"], "device must be auto, cpu, cuda or cuda:N, got '0': did you mean cuda:0?"),
        (["device=mps"], "device must be auto, cpu, cuda or cuda:N, got 'mps'"),
    ],
)
def test_slips_are_answered_by_what_to_write(words, message):
    with pytest.raises(InputError) as error:
        parse_run(words)
    assert str(error.value) == message


def test_all_names_are_listed_only_where_none_is_near():
    with pytest.raises(InputError, match=r"^no setting called 'xyzzy': there are average, budget, .*, variance$"):
        parse_run(["xyzzy=3"])
    with pytest.raises(InputError, match=r"^no setting called 'schedul': did you mean 'schedule'\?$"):
        parse_run(["schedul=3"])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("configs/grid/skip.yaml", "write grid=skip"),
        ("./mine.yml", "write grid=mine, and let the file be configs/grid/mine.yaml"),
    ],
)
def test_a_file_is_asked_for_by_its_name(given, meant):
    with pytest.raises(InputError) as error:
        read(given)
    assert str(error.value) == f"grid={given}: grid takes a name and no file: {meant}"


def test_nothing_is_answered_by_itself():
    """A study's `set`, say, may hold no key of the command line."""
    with pytest.raises(InputError, match=r"^no setting called 'launcher\.workers': there are "):
        check_key("launcher.workers")


def test_a_rate_far_above_any_is_doubted_and_others_are_not():
    (doubt,) = doubts(parse_run(["training.learning_rate=1e-3,1e3", "space.learning_rate=1e-3"]))
    assert doubt.startswith("training.learning_rate=1000.0 is far above any that is used")
    (doubt,) = doubts(parse_search(["training.learning_rate=interval(1e-3,50)", "schedule.beta_T=interval(2,3)"]))
    assert doubt.startswith("training.learning_rate=50.0 ")
    assert doubts(parse_run(["training.learning_rate=1"])) == []

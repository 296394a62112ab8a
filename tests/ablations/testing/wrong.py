"""Data sets, extractors and launchers that are wrong on purpose, each in one thing, for the shared checks to find."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ablations.data.base import Data, DataSet, image_data
from ablations.engine.journal import Result
from ablations.engine.workers import Workers
from ablations.launchers.protocol import Launcher, found_devices
from ablations.launchers.serial import ThisProcess
from ablations.metrics.extractors.architectures import Architecture
from ablations.stages.stage import Stage


def noise(n: int, levels: int = 17, side: int = 8, seed: int | None = 0) -> Tensor:
    """n images of noise; by the global generator where no seed is given."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return torch.randint(levels, (n, 1, side, side), generator=generator).to(torch.uint8)


def splits(**replaced: Tensor) -> dict[str, Tensor]:
    return {"train": noise(40), "validation": noise(9, seed=1), "test": noise(9, seed=2), **replaced}


@dataclass(frozen=True)
class Right(DataSet):
    """A set in which nothing is wrong."""

    extractor: ClassVar[str | None] = "digits-cnn"

    def read(self) -> Data:
        return image_data(splits(), {}, levels=17)


@dataclass(frozen=True)
class Drawn(Right):
    """Draws its images anew each time."""

    def read(self) -> Data:
        return image_data(splits(train=noise(40, seed=None)), {}, levels=17)


@dataclass(frozen=True)
class Leaking(Right):
    """Tests on what it was taught."""

    def read(self) -> Data:
        return image_data(splits(test=noise(40)[:9]), {}, levels=17)


@dataclass(frozen=True)
class Lopsided(Right):
    """Has fewer images to test on than to select by."""

    def read(self) -> Data:
        return image_data(splits(test=noise(6, seed=2)), {}, levels=17)


@dataclass(frozen=True)
class TooBright(Right):
    """Has more levels than it says."""

    def read(self) -> Data:
        data = image_data(splits(), {}, levels=17)
        bright = data.images | {"test": torch.full_like(data.images["test"], 17)}
        return Data(bright, {}, data.encoding, data.codes)


@dataclass(frozen=True)
class Unjudged(Right):
    """Is judged by an extractor of other images."""

    extractor: ClassVar[str | None] = "fashion-cnn"


@dataclass(frozen=True)
class Elsewhere(Right):
    """Says that its files lie where no field says."""

    where: ClassVar[tuple[str, ...]] = ("root",)


class Small(Architecture):
    """A network of features in which nothing is wrong."""

    levels = 17
    sides = (8,)
    width = 6
    classes = 10

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.SiLU())
        self.head = nn.Linear(6, self.classes)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature = self.body(levels.float() / 16)
        return feature, self.head(feature)


class Wider(Small):
    """Declares more features than it has."""

    width = 7


class Relative(Small):
    """Sees the rest of a batch."""

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature, logits = super().forward(levels)
        return feature - feature.mean(0), logits


class Forgetting(Small):
    """Has a scale that is in no file."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(0.5), persistent=False)

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        feature, logits = super().forward(levels)
        return feature * self.scale, logits


class Taking(Small):
    """Takes whatever it is given."""

    @classmethod
    def check(cls, name: str, images: Tensor) -> None:
        return


@dataclass(frozen=True)
class Idle(Launcher):
    """Runs nothing at all."""

    def devices(self, device: str, threads: int) -> list[str]:
        found_devices(device)
        return []

    def start(self, journal: str, devices: list[str]) -> Workers:
        return ThisProcess(journal)


@dataclass(frozen=True)
class Willing(Launcher):
    """Takes any word for a device."""

    def devices(self, device: str, threads: int) -> list[str]:
        return ["cpu"]

    def start(self, journal: str, devices: list[str]) -> Workers:
        return ThisProcess(journal)


class Pretence(ThisProcess):
    """Writes numbers of its own."""

    def submit(self, stage: Stage, device: str) -> Future[str]:
        self.journal.write_result(stage.id, Result("finished", "", {"mmd/test": 0.0}, {}, {}))
        future: Future[str] = Future()
        future.set_result("failed" if stage.id == "bad" else "finished")
        return future


@dataclass(frozen=True)
class Pretending(Launcher):
    """Says that stages finished which never ran."""

    def devices(self, device: str, threads: int) -> list[str]:
        return found_devices(device)[:1]

    def start(self, journal: str, devices: list[str]) -> Workers:
        return Pretence(journal)

"""Published files that come by themselves where a person asks for them: fetched once, verified, put in place whole."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import torch

from analysis.errors import InputError
from analysis.files import replace_file


@dataclass(frozen=True)
class PublishedFile:
    """A file at its official address, and the digest, in hex, that tells it from any other."""

    url: str
    algorithm: Literal["md5", "sha256"]
    digest: str

    @property
    def name(self) -> str:
        """The name of the file, at its address and here."""
        return self.url.rpartition("/")[2]


def fetch(file: PublishedFile, folder: Path) -> Path:
    """FOLDER/NAME, fetched unless a file of this name is there already; InputError where it cannot be had."""
    path = folder / file.name

    def receive(temporary: Path) -> None:
        torch.hub.download_url_to_file(file.url, str(temporary), progress=sys.stderr.isatty())
        if hashlib.new(file.algorithm, temporary.read_bytes()).hexdigest() != file.digest:
            raise ValueError(f"what came was cut, or is another file: its {file.algorithm} is not {file.digest}")

    try:
        if not path.is_file():
            replace_file(path, receive)
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(f"{file.url} cannot be fetched into {folder} ({error}): put it there") from error
    return path

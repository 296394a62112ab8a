"""Published files that come by themselves where a person asks for them: fetched once, verified, put in place whole."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import torch

from analysis.errors import InputError
from analysis.files import replace_file

MIRROR = "DIFFUSION_ABLATIONS_MIRROR"
"""The environment variable for another place, http(s):// or file://, where all files lie under their own names."""


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

    def is_at(self, path: Path) -> bool:
        """True where this very file lies there."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest() == self.digest


def fetch(file: PublishedFile, folder: Path) -> Path:
    """FOLDER/NAME, fetched unless that very file is there already; InputError where it cannot be had."""
    path, mirror = folder / file.name, os.environ.get(MIRROR)
    address = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url

    def receive(temporary: Path) -> None:
        torch.hub.download_url_to_file(address, str(temporary), progress=sys.stderr.isatty())
        if not file.is_at(temporary):
            raise ValueError(f"what came was cut, or is another file: its {file.algorithm} is not {file.digest}")

    try:
        if not file.is_at(path):
            replace_file(path, receive)
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(
            f"{address} cannot be fetched into {folder} ({error}): put it there, or name a mirror by {MIRROR}"
        ) from error
    return path

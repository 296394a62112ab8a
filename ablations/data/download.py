"""Published files that come by themselves where a person asks for them: fetched once, verified, put in place whole.

    address ─▶ FOLDER/.NAME.… ─▶ all bytes, the known digest ─▶ FOLDER/NAME

Whatever goes wrong is told in one line; then nothing is left of the attempt, and what was there before is as it was.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from analysis.errors import InputError
from analysis.files import replace_file

MIRROR = "DIFFUSION_ABLATIONS_MIRROR"
"""The environment variable for another place, http(s):// or file://, where all files lie under their own names."""
PATIENCE = 30.0
"""Seconds without a byte after which an address is given up."""
CHUNK = 1 << 18
"""Bytes that are taken at once."""


@dataclass(frozen=True)
class Published:
    """A file at its official address, and the digest, in hex, that tells it from any other."""

    url: str
    algorithm: Literal["md5", "sha256"]
    digest: str

    @property
    def name(self) -> str:
        """The name of the file, at its address and here."""
        return self.url.rpartition("/")[2]

    @property
    def address(self) -> str:
        """The address that it is fetched from: the mirror's, if one is named."""
        mirror = os.environ.get(MIRROR)
        return f"{mirror.rstrip('/')}/{self.name}" if mirror else self.url

    def is_at(self, path: Path) -> bool:
        """True where this very file lies there."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, self._hash).hexdigest() == self.digest

    def receive(self, path: Path) -> None:
        """Write it to a file, with a bar where a terminal shows it.

        OSError, HTTPException or ValueError if it does not come, or what comes is not it.
        """
        request = Request(self.address, headers={"User-Agent": "diffusion-ablations"})
        digest = self._hash()
        with urlopen(request, timeout=PATIENCE) as answer, path.open("wb") as file:
            announced = int(answer.headers.get("Content-Length") or 0)
            with tqdm(total=announced or None, unit="B", unit_scale=True, desc=self.name, disable=None) as bar:
                while chunk := answer.read(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
                    bar.update(len(chunk))
            received = file.tell()
        if received < announced:
            raise ValueError(f"it broke off after {received} of {announced} bytes")
        if digest.hexdigest() != self.digest:
            raise ValueError(f"it is another file, of {self.algorithm} {digest.hexdigest()}, not {self.digest}")

    def _hash(self) -> hashlib._Hash:
        return hashlib.new(self.algorithm, usedforsecurity=False)


def fetch(file: Published, folder: Path) -> Path:
    """FOLDER/NAME, fetched unless that very file is there already; InputError where it cannot be had."""
    path = folder / file.name
    try:
        if not file.is_at(path):
            replace_file(path, file.receive)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            # It is an answer too, over a connection that is still open.
            error.close()
        raise InputError(
            f"{file.address} cannot be fetched into {folder} ({_reason(error)}): try again where there is a network, "
            f"put the file there yourself, or name a place that has it by the environment variable {MIRROR}"
        ) from error
    return path


def _reason(error: Exception) -> str:
    """The trouble in one line; `urllib` wraps what the socket says."""
    inner = error if isinstance(error, HTTPError) else getattr(error, "reason", error)
    return " ".join(str(inner).split()) or type(error).__name__

"""Where a journal may be: `journal=` of the commands that read one.

    journal=DIR                 a folder; by default RESULTS/.stages
    journal=s3://BUCKET/PREFIX  objects of a store, for machines that share no folder

Endpoint, region and keys of a store are read where every program reads them (AWS_ENDPOINT_URL, AWS_PROFILE, …), and
never stand here.
"""

from __future__ import annotations

import re
from pathlib import Path

from analysis.format.errors import InputError

S3 = "s3://"
FORM = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[\w.-]+(?:/[\w.-]+)*))?/?")
FOLDER = ".stages"
"""The default, in the folder of results."""
HELP = "where stages are kept: a folder, or s3://BUCKET/PREFIX for machines that share none"


def address_of(results: Path, journal: str | None) -> str:
    """Where the journal of a command is, which keeps its results in this folder; InputError where that is no place."""
    if not journal:
        return str(results / FOLDER)
    if "://" in journal:
        bucket_in(journal)
    return journal


def bucket_in(address: str) -> tuple[str, str]:
    """The bucket of an address, and the prefix, which may be empty; InputError where it is no s3://BUCKET/PREFIX."""
    match = FORM.fullmatch(address)
    if match is None:
        raise InputError(
            f"journal must be a folder or s3://BUCKET/PREFIX, got {address}: a bucket's name has 3 to 63 small "
            "letters, digits, dots and hyphens, and keys stand in the environment (AWS_PROFILE, …)"
        )
    return match["bucket"], match["prefix"] or ""


def is_remote(address: str) -> bool:
    """Whether it is on an object store."""
    return address.startswith(S3)

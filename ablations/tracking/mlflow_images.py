"""Samples of a run as MLflow's images over steps: its page shows them as a panel with a slider over the training.

    images/samples+step+200+timestamp+0+sheet.png               enlarged by a whole number of pixels per pixel
    images/samples+step+200+timestamp+0+sheet+compressed.webp   shown in the panel until it is clicked

`MlflowClient.log_image` puts a random number and the time of day into these names, so that a second delivery would
leave each image twice. MLflow's page reads key and step from the name alone (github.com/mlflow/mlflow/pull/11243), so
the names here are the same at each delivery. Sheets that are no pictures (of points, say) or cannot be read are plain
files of the run.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from PIL.Image import Image

SAMPLES, RECONSTRUCTIONS = "samples", "reconstructions"
"""The keys of images: a cell's samples, and an autoencoder's reconstructions."""
SIDE = 512
"""The most pixels along a side of an enlarged sheet."""
_FOLDER = "images"
_LOGGED = "mlflow.loggedImages"
"""The tag by which MLflow's page looks for images."""


def log_sheet(client: MlflowClient, run_id: str, sheet: Path, key: str, step: int) -> None:
    """Give a run in the store a sheet of images at a step, in place of an earlier one there."""
    from mlflow.exceptions import MlflowException
    from PIL import features

    picture = _enlarged(sheet)
    if picture is None or not features.check("webp"):
        client.log_artifact(run_id, str(sheet))
        return
    with TemporaryDirectory() as place:
        name = Path(place) / f"{key}+step+{step}+timestamp+0+sheet"
        picture.save(f"{name}.png")
        picture.thumbnail((SIDE, SIDE))
        picture.save(f"{name}+compressed.webp", lossless=True)
        client.log_artifacts(run_id, place, _FOLDER)
    try:
        client.set_tag(run_id, _LOGGED, "True")
    except MlflowException:
        # Another command may have given it the tag just now: then the second write finds it there.
        client.set_tag(run_id, _LOGGED, "True")


def _enlarged(sheet: Path) -> Image | None:
    """A picture with each pixel enlarged to a square; None where the file is no picture."""
    from PIL import Image

    if sheet.suffix != ".png":
        return None
    try:
        with Image.open(sheet) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    times = max(1, SIDE // max(picture.size))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)

"""Files that come from elsewhere: none is unpacked without a limit, leads out of its folder, or brings code."""

from __future__ import annotations

import ast
import gzip
import io
import json
import re
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablations import export, publish
from ablations.data import cifar10, fashion_mnist, pictures
from ablations.data.cifar10 import Cifar10
from ablations.data.fashion_mnist import FashionMnist
from ablations.data.folder import picture
from ablations.data.kept import _images
from ablations.driver.progress import bar
from ablations.metrics.extractors.weights import parse
from ablations.settings.arguments import parse_run
from ablations.tracking.model import read_model
from analysis.errors import InputError
from tests.ablations.data.fabricated import cifar, fashion

ROOT = Path(__file__).parents[2]


def png(width: int, height: int) -> bytes:
    """A picture that announces its pixels, and holds hardly any."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("sides", [(9_500, 9_500), (20_000, 20_000)], ids=["warned of", "refused"])
def test_a_picture_that_announces_too_many_pixels_is_refused_with_the_limit(sides, tmp_path):
    limit = Image.MAX_IMAGE_PIXELS
    pixels = sides[0] * sides[1]
    assert (limit < pixels < 2 * limit) == (sides[0] < 10_000)
    (tmp_path / "bomb.png").write_bytes(png(*sides))
    with pytest.raises(InputError, match=rf"bomb\.png cannot be read \(Image size \({pixels} pixels\) exceeds limit"):
        picture(tmp_path / "bomb.png", 32, "grey")


def test_a_picture_that_is_a_line_is_refused_before_it_is_scaled(tmp_path):
    path = tmp_path / "line.png"
    path.write_bytes(png(1, 80_000_000))
    with pytest.raises(InputError, match="it is 1 × 80000000, and 32 × 2560000000 with a shorter side of 32: more"):
        picture(path, 32, "grey")
    Image.new("L", (4, 4_000)).save(path)
    picture(path, 32, "grey")
    assert pictures._scaled((4, 4_000), 32) == (32, 32_000)


def test_an_idx_file_that_unpacks_to_more_than_the_set_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "LARGEST", 16 + 300 * 28 * 28)
    fashion(tmp_path)
    path = next(tmp_path.glob("train-images*"))
    bomb = io.BytesIO()
    with gzip.open(bomb, "wb") as file:
        file.write(struct.pack(">BBBBIII", 0, 0, 8, 3, 10_000, 28, 28))
        file.write(bytes(10_000 * 28 * 28))
    path.with_suffix(".gz").write_bytes(bomb.getvalue())
    if path.suffix != ".gz":
        path.unlink()
    with pytest.raises(InputError, match="is damaged \\(it holds more than 235216 bytes, those of 70,000 pictures"):
        FashionMnist(root=str(tmp_path), train_images=5, held_out_images=5).read()


def test_a_batch_that_is_larger_than_one_is_not_read(tmp_path, monkeypatch):
    cifar(tmp_path)
    monkeypatch.setattr(cifar10, "LARGEST", 1000)
    with pytest.raises(InputError, match=r"is no batch \(it has \d+ bytes, and a batch of 10,000 pictures 1000"):
        Cifar10(root=str(tmp_path), train_images=5, held_out_images=5).read()


def test_an_archive_of_batches_that_announces_more_is_not_unpacked(tmp_path):
    archive = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        member = tarfile.TarInfo(f"{cifar10.FOLDER}/data_batch_1.bin")
        member.size = 70_000_000
        file.addfile(member, io.BytesIO(bytes(member.size)))
    assert archive.stat().st_size < 100_000
    with pytest.raises(InputError, match="it has 70000000 bytes, and a batch of 10,000 pictures 30730000"):
        cifar10._unpack(archive, tmp_path)
    assert not (tmp_path / cifar10.FOLDER).exists()


def test_weights_that_unpack_to_far_more_than_the_file_are_not_read():
    whole = io.BytesIO()
    torch.save({"a": torch.zeros(1_000_000)}, whole)
    packed = io.BytesIO()
    with zipfile.ZipFile(whole) as plain, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as tight:
        for member in plain.infolist():
            tight.writestr(member.filename, plain.read(member))
    assert len(packed.getvalue()) < 100_000
    with pytest.raises(ValueError, match=r"unpacks to 400\d{4} bytes from \d+, and torch.save packs nothing"):
        parse(packed.getvalue(), Path("x.pth"))
    assert parse(whole.getvalue(), Path("x.pth"))["a"].shape == (1_000_000,)


def test_publishing_delivers_no_link_out_of_the_folder(again, capsys):
    (again.folder / "samples" / "own.csv").symlink_to("../runs.csv")
    assert publish.main([f"results={again.results}"]) == 0
    secret = again.results.parent / "secret"
    secret.write_text("mine")
    (again.folder / "notes.txt").symlink_to(secret)
    assert publish.main([f"results={again.results}"]) == 2
    assert "notes.txt is a link out of its folder, and is not delivered" in capsys.readouterr().err
    assert not list((again.results / ".artifacts").rglob("notes.txt"))


def test_publishing_delivers_nothing_that_a_killed_writer_left(again):
    names = ["notes.txt", ".notes.txt.r8earjny", "figures/curves.pdf", "figures/.curves.pdf.r8earjny"]
    for name in names:
        (again.folder / name).parent.mkdir(exist_ok=True)
        (again.folder / name).write_text("half of")
    assert publish.main([f"results={again.results}"]) == 0
    delivered = {name for name in names if list((again.results / ".artifacts").rglob(name))}
    assert delivered == {"notes.txt", "figures/curves.pdf"}


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "a/../../b", ".stages", ".."])
def test_names_of_results_lead_to_no_other_place(name, tmp_path, capsys):
    assert publish.main([f"grid={name}", f"results={tmp_path}"]) == 2
    assert export.main([f"search={name}", "name=x", f"results={tmp_path}", f"configs={tmp_path}"]) == 2
    assert capsys.readouterr().err.count("leads to no other place") == 2
    with pytest.raises(InputError):
        parse_run([f"name={name}"])


def test_a_file_in_a_folder_of_grids_has_its_results_beside_all_others(configs):
    (configs / "grid" / "mine").mkdir()
    (configs / "grid" / "mine" / "first.yaml").write_text("question: q\naxes: []\nbaseline: {}\n")
    assert parse_run(["grid=mine/first"]).title == "mine-first"


@pytest.mark.parametrize(
    "parts",
    [
        {"training": "../../x", "fit": None, "autoencoder": None},
        {"training": "a", "fit": "/etc", "autoencoder": None},
        {"training": 1, "fit": None, "autoencoder": None},
        {"training": "a", "other": "b"},
        ["a"],
    ],
)
def test_a_model_from_a_store_names_its_own_parts_alone(parts, tmp_path):
    (tmp_path / "cell.json").write_text(json.dumps({"parameters": {}, "seed": 0, "parts": parts}))
    with pytest.raises(InputError, match="names parts that lie elsewhere, or none"):
        read_model(tmp_path, torch.device("cpu"))


def test_what_a_cell_is_called_does_nothing_to_the_bar(capfd):
    with bar("cells", 1.0) as shown:
        shown.tell("[/red] is at work")
        shown.move_to(1.0)
    assert "[/red] is at work" in capfd.readouterr().err


SOURCES = [path for package in ("ablations", "analysis", "diffusion_core") for path in (ROOT / package).rglob("*.py")]
PICKLES = {
    "ablations/metrics/extractors/weights.py": "the name of an error",
}
"""Where the word stands, and what is read there."""


def test_nothing_from_elsewhere_is_run():
    found = set()
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import) and {"pickle", "marshal", "dill"} & {alias.name for alias in node.names}:
                found.add(name)
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert called not in ("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"), name
            assert words.get("shell") != "True", name
            assert words.get("allow_pickle") != "True", name
            if called == "torch.load":
                assert words.get("weights_only") == "True", name
    assert found == PICKLES.keys()


def test_every_server_that_is_suggested_answers_on_its_own_machine_alone():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md"), *SOURCES]
    for path in texts:
        if path.name != "SECURITY.md":
            assert "0.0.0.0" not in path.read_text(encoding="utf-8"), path


def test_an_array_file_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="objects"):
        _images(tmp_path / "x.npy", [1])


def test_security_says_how_to_report_a_hole():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert re.search(r"[\w.]+@[\w.]+\.\w+", text) is None, "there is no address to write to"
    assert "**Report** privately" in text

"""``napari-gem models`` and the question before a download."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_gem.cli import consent
from napari_gem.models.catalogue import list_models
from napari_gem.models.find import find_model, is_available
from tests.hub import COMMIT, Hub, point_at, serve
from tests.tiny import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = Callable[..., tuple[int, str, str]]

NAME = "hf-hub:tiny/model"
DOCUMENT = Path(__file__).parents[2] / "docs/models.md"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_GEM_CONFIG", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_tiny_model(tmp_path_factory.mktemp("model"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(files: dict[str, bytes], tmp_path: Path) -> Iterator[Hub]:
    with serve(files) as server, point_at(server.address, tmp_path / "cache"):
        yield server


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], list[str]]:
    """Answer every question; what was asked is in the list."""

    def use(agreed: bool) -> list[str]:
        asked: list[str] = []

        def confirm(question: str, **_: object) -> bool:
            asked.append(question)
            return agreed

        monkeypatch.setattr(consent.typer, "confirm", confirm)
        return asked

    return use


def test_the_list_groups_marks_and_names_size_and_licence(call: Call) -> None:
    status, said, _ = call("models")
    assert status == 0
    assert call("models", "list")[1] == said
    places = [said.index(f"\n{name}\n") for name in ("General", "Histology")]
    first = said.index("ViT-B-16-quickgelu/openai")
    assert places[0] < first < places[1] < said.index("hf-hub:wisdomik/QuiltNet-B-16")
    assert "* embedded" in said
    assert "about 598 MB; licence CC-BY-NC (no commercial use)" in said
    assert all(card.id in said for card in list_models())


def test_the_table_of_the_documentation_is_the_catalogue(call: Call) -> None:
    status, said, _ = call("models", "table")
    assert status == 0
    text = DOCUMENT.read_text(encoding="utf-8")
    rest = text.partition("<!-- napari-gem models table -->\n")[2]
    assert rest.strip().startswith(said.strip())
    assert said.count("\n| [") == len(list_models()) - 1


def test_info_tells_what_the_card_knows(call: Call) -> None:
    status, said, _ = call("models", "info", "chendelong/RemoteCLIP-ViT-L-14")
    assert status == 0
    lines = {line.split(":")[0]: line for line in said.splitlines()}
    assert "QuickGELU" in lines["Activation"]
    assert re.search(r" [0-9a-f]{40}$", lines["Revision"])
    assert "residual dropped" in lines["GEM"]
    assert "arXiv 2306.11029" in lines["Citation"]
    said = call("models", "info", "hf-hub:wisdomik/QuiltNet-B-16")[1]
    assert "not pinned: the newest is taken" in said
    assert "Revision" not in call("models", "info", "embedded")[1]
    status, _, error = call("models", "info", "ViT-B-16-quikgelu/openai")
    assert status == 2
    assert "Did you mean" in error
    error = call("models", "info", "quiltnet")[2]
    assert "Did you mean hf-hub:wisdomik/QuiltNet-B-32 or" in error
    assert "LAION" not in error


def test_a_model_is_downloaded_exported_removed_and_imported(
    call: Call,
    hub: Hub,
    tmp_path: Path,
    answer: Callable[[bool], list[str]],
) -> None:
    asked = answer(False)
    status, _, error = call("models", "download", NAME)
    assert status == 1
    assert asked == ["Download it?"]
    assert "Licence: cc-by-4.0" in error
    assert "Size: about 7 MB" in error
    assert not is_available(find_model(NAME))
    assert "on this computer now" in call("models", "download", NAME, "--yes")[2]
    assert "already" in call("models", "download", NAME)[2]
    file = tmp_path / "tiny.zip"
    status, _, error = call("models", "export", NAME, file)
    assert status == 0, error
    assert "licence" in error
    assert call("models", "export", NAME, file)[0] == 2
    assert call("models", "remove", NAME)[0] == 1
    assert is_available(find_model(NAME))
    answer(True)
    status, _, error = call("models", "remove", NAME)
    assert status == 0
    assert "MB are free again" in error
    assert "is not on this computer" in call("models", "remove", NAME)[2]
    hub.asked.clear()
    status, _, error = call("models", "import", file)
    assert status == 0, error
    assert f"--model {NAME}" in error
    assert is_available(find_model(NAME))
    assert (
        f"not pinned; {COMMIT} is on this computer" in call("models", "info", NAME)[1]
    )
    assert "7 MB in " + str(tmp_path / "cache") in call("models", "info", NAME)[1]
    assert hub.asked == []


def test_own_files_go_on_the_list_and_stay_on_disk(call: Call, tmp_path: Path) -> None:
    weights = tmp_path / "my model.pt"
    weights.write_bytes(b"PK\x03\x04 and so on")
    status, _, error = call("models", "add", weights)
    assert status == 2
    assert "Name its open_clip architecture" in error
    options = ["--architecture", "ViT-B-16-quickgelu", "--domain", "histology"]
    status, _, error = call("models", "add", weights, *options)
    assert status == 0, error
    assert "--model my-model" in error
    card = find_model("my-model")
    assert (card.weights, card.activation) == (f"file:{weights}", "QuickGELU")
    said = call("models")[1]
    assert (
        said.index("QuiltNet-B-16") < said.index("* my-model") < said.index("BiomedC")
    )
    assert (
        "is a model 'my-model' already" in call("models", "add", weights, *options)[2]
    )
    weights.rename(tmp_path / "away.pt")
    status, _, error = call("models", "download", "my-model")
    assert status == 2
    assert f"'{weights}', which is not there" in error
    (tmp_path / "away.pt").rename(weights)
    assert "was not touched" in call("models", "remove", "my-model")[2]
    assert weights.read_bytes() == b"PK\x03\x04 and so on"
    assert "my-model" not in call("models")[1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.pt", b"<html><body>404</body></html>", "is a web page"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/", "git lfs pull"),
        ("script.py", b"import os", "is no weights file of torch or safetensors"),
        ("empty.pt", b"", "is empty"),
        ("cut.safetensors", b"\xff\xff\0\0\0\0\0\0{", "is no weights file"),
    ],
)
def test_what_is_no_weights_file_is_not_put_on_the_list(
    call: Call, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    options = ["--architecture", "ViT-B-16"]
    status, _, error = call("models", "add", tmp_path / name, *options)
    assert status == 2
    assert f"{name}' " in error
    assert message in error
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["remove", "embedded"], "was not downloaded"),
        (["download", "nonsense"], "no model 'nonsense'"),
        (["import", "none.zip"], "cannot be imported"),
        (["add", "none.pt", "--architecture", "ViT-B-16"], "no file or folder"),
        (["add", ".", "--architecture", "ViT-B-16"], "holds no open_clip_config"),
    ],
)
def test_refusals_are_one_sentence(
    call: Call, tmp_path: Path, options: list[str], message: str, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, error = call("models", *options)
    assert status == 2
    assert message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("agreed", [True, False])
def test_segment_asks_before_a_download_where_it_can(
    call: Call,
    hub: Hub,
    tmp_path: Path,
    answer: Callable[[bool], list[str]],
    agreed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(image)
    options = ["segment", image, "-p", "cat", "-o", tmp_path / "out", "-m", NAME]
    asked = answer(agreed)
    status, _, error = call(*options)
    assert (status, asked) == (2, [])
    assert "--download" in error
    monkeypatch.setattr(consent, "can_ask", lambda: True)
    status, _, error = call(*options)
    assert len(asked) == 1
    assert "Licence: cc-by-4.0" in error
    assert status == (0 if agreed else 1)
    assert (tmp_path / "out/labels.tif").exists() == agreed

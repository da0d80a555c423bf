"""The list of models, what is done with them, and what is asked before."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace

import pytest
from huggingface_hub import constants
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QWidget

from napari_gem.core.errors import GemError
from napari_gem.core.progress import Progress
from napari_gem.models.add import add_file
from napari_gem.models.catalogue import list_models
from napari_gem.models.find import find_model, is_available
from napari_gem.models.own_list import add_own, own_path
from napari_gem.widget.models.model_choice import ModelChoice
from napari_gem.widget.models.model_dialog import (
    AddDialog,
    ModelDialog,
    NamedModel,
    download_box,
)
from napari_gem.widget.models.model_list import (
    DETAIL,
    NAMED,
    ON_DISK,
    SEARCH,
    ModelList,
)
from napari_gem.widget.parts.job import BackgroundJob
from tests.hub import serve
from tests.models.test_archive import fill

REMOTE = "chendelong/RemoteCLIP-ViT-B-32"
BUTTONS = QMessageBox.StandardButton
WEIGHTS = b"PK\x03\x04 and so on"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


@pytest.fixture
def choice(qtbot, cache):
    choice = ModelChoice()
    qtbot.addWidget(choice)
    return choice


def about(choice):
    return choice._about.text()


def put_remote(cache):
    files = {"RemoteCLIP-ViT-B-32.pt": b"x"}
    fill(cache, "chendelong/RemoteCLIP", files, find_model(REMOTE).revision)


def choose(choice, id_):
    choice.add(NamedModel(id_), id_)
    assert choice.named() == NamedModel(id_)


def press(button, seen=None):
    """Press a button of the box that comes, however late."""

    def answer():
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(20, answer)
            return
        if seen is not None:
            seen.append(box.text() + box.informativeText())
        box.button(button).click()

    QTimer.singleShot(50, answer)


# --- the list


def rows(combo):
    return [(combo.itemText(i), combo.itemData(i, NAMED)) for i in range(combo.count())]


def test_models_stand_under_headings_that_cannot_be_chosen(qtbot, tmp_path):
    add_own(
        {
            "id": "mine",
            "name": "Mine",
            "domain": "my domain",
            "weights": f"file:{tmp_path / 'a.pt'}",
            "architecture": "ViT-B-32",
        }
    )
    combo = ModelList()
    qtbot.addWidget(combo)
    headings = [name for name, named in rows(combo) if named is None]
    assert headings[:3] == ["Demonstration", "General", "Histology"]
    assert headings[-1] == "My domain"
    assert {named.model for _, named in rows(combo) if named} == {
        card.id for card in list_models()
    }
    assert combo.named() == NamedModel("embedded")
    model = combo.model()
    for row, (_, named) in enumerate(rows(combo)):
        can = bool(model.index(row, 0).flags() & Qt.ItemFlag.ItemIsSelectable)
        assert can == (named is not None)
    combo.setFocus()
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    assert combo.named() == NamedModel("ViT-B-32-quickgelu/openai")


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("histology", "QuiltNet B/32"),
        ("georsclip b", "GeoRSCLIP B/32"),
        ("satellite", "RemoteCLIP B/32"),
        ("electron", "EM CLIP L/14"),
    ],
)
def test_typing_finds_models_by_name_and_use(qtbot, choice, typed, first):
    combo = choice.combo
    choice.show()
    combo.lineEdit().selectAll()
    qtbot.keyClicks(combo.lineEdit(), typed)
    entries = combo.completer().completionModel()
    names = [entries.index(row, 0).data() for row in range(entries.rowCount())]
    assert names[0] == first
    assert all(
        typed in entries.index(r, 0).data(SEARCH).lower() for r in range(len(names))
    )
    combo.completer().activated["QModelIndex"].emit(entries.index(0, 0))
    assert combo.currentText() == first
    assert find_model(choice.named().model).name == first


def test_what_is_found_looks_as_the_viewer(qtbot, choice):
    window, inner = QWidget(), QWidget()
    qtbot.addWidget(window)
    inner.setParent(window)
    choice.setParent(inner)
    window.setStyleSheet("QWidget { background-color: #123456 }")
    inner.setStyleSheet("QPushButton { padding: 1px }")
    window.show()
    choice.combo.lineEdit().selectAll()
    qtbot.keyClicks(choice.combo.lineEdit(), "histology")
    popup = choice.combo.completer().popup()
    seen = popup.viewport().grab().toImage()
    assert seen.pixelColor(seen.width() - 2, 1).name() == "#123456"
    popup.hide()
    choice.setParent(None)


def test_what_finds_nothing_leaves_the_choice(qtbot, choice):
    combo = choice.combo
    choose(choice, REMOTE)
    combo.lineEdit().selectAll()
    qtbot.keyClicks(combo.lineEdit(), "nothing like it")
    qtbot.keyClick(combo.lineEdit(), Qt.Key.Key_Return)
    assert choice.named() == NamedModel(REMOTE)
    assert combo.currentText() == "RemoteCLIP B/32"


def test_size_and_licence_are_in_view_and_disk_is_marked(qtbot, choice, cache):
    combo = choice.combo
    row = combo._named_rows()[NamedModel(REMOTE)]
    assert combo.itemData(row, DETAIL) == "605 MB, Apache-2.0"
    openai = combo._named_rows()[NamedModel("ViT-B-32-quickgelu/openai")]
    assert combo.itemData(openai, DETAIL) == "605 MB, MIT, not verified"
    other = combo._named_rows()[NamedModel("BIOMEDICA/BMC_CLIP_CF")]
    assert combo.itemData(other, DETAIL) == "1,710 MB, MIT, not verified"
    choose(choice, REMOTE)
    assert "about 605 MB, licence Apache-2.0" in about(choice)
    put_remote(cache)
    choice.show()
    qtbot.waitUntil(lambda: combo.itemData(row, DETAIL) == ON_DISK)
    assert "download" not in about(choice)
    shutil.rmtree(cache)
    choice.look()
    qtbot.waitUntil(lambda: combo.itemData(row, DETAIL) != ON_DISK)


def test_a_model_outside_the_catalogue_promises_its_size(choice):
    assert "download" not in about(choice)
    choice.add(NamedModel("hf-hub:owner/repository"), "repository")
    assert "you see its size first" in about(choice)
    assert "not known" not in about(choice)
    assert "https://huggingface.co/owner/repository" in choice.combo.toolTip()


def test_an_own_model_is_chosen_with_its_architecture_or_without(choice, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(WEIGHTS)
    add_file(path, "ViT-B-32", name="mine")
    choice.combo.reload()
    count = choice.combo.count()
    choice.add(NamedModel("mine", "ViT-B-32"), "mine")
    assert choice.named() == NamedModel("mine")
    assert choice.combo.count() == count


def test_an_own_file_that_is_gone_is_no_download(choice, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(WEIGHTS)
    add_file(path, "ViT-B-32", name="mine")
    choice.combo.reload()
    choose(choice, "mine")
    path.unlink()
    choice._describe()
    assert f"'{path}', which is not there" in about(choice)


def test_a_damaged_list_of_own_models_is_told_and_the_rest_works(qtbot, choice):
    own_path().parent.mkdir(exist_ok=True)
    own_path().write_text("[[model]]\nid = 1")
    with qtbot.waitSignal(choice.message_sent) as signal:
        choice.say_errors()
    assert signal.args[0] == "error"
    assert str(own_path()) in signal.args[1]
    choice.menu.aboutToShow.emit()
    assert not choice.remove.isEnabled()


# --- the menu


def test_the_menu_offers_what_can_be_done(choice, cache):
    def offered():
        choice.menu.aboutToShow.emit()
        assert choice.export_file.isEnabled() == choice.remove.isEnabled()
        return choice.download.isEnabled(), choice.remove.isEnabled()

    assert offered() == (False, False)
    choose(choice, REMOTE)
    assert offered() == (True, False)
    assert choice.download.text() == "Download RemoteCLIP B/32…"
    put_remote(cache)
    assert offered() == (False, True)
    choose(choice, "hf-hub:owner/repository")
    assert offered() == (True, False)


def test_remove_asks_and_removes(qtbot, choice, cache):
    choose(choice, REMOTE)
    put_remote(cache)
    press(BUTTONS.Cancel)
    choice.remove.trigger()
    assert is_available(choice.card())
    press(BUTTONS.Ok)
    with qtbot.waitSignal(choice.message_sent) as signal:
        choice.remove.trigger()
    assert signal.args == ["info", "RemoteCLIP B/32 is removed."]
    assert not is_available(choice.card())
    assert "To be downloaded" in about(choice)


@pytest.mark.parametrize("agreed", [True, False])
def test_download_asks_and_tells_what_fails(qtbot, choice, agreed):
    choose(choice, REMOTE)
    seen, messages = [], []
    choice.message_sent.connect(lambda *args: messages.append(args))
    press(BUTTONS.Ok if agreed else BUTTONS.Cancel, seen)
    choice.download.trigger()
    assert "Licence: Apache-2.0" in seen[0]
    assert choice.job.busy == agreed
    if agreed:
        qtbot.waitUntil(lambda: bool(messages))
        assert messages[0][0] == "error"
        assert "offline" in messages[0][1]
        qtbot.waitUntil(lambda: choice.bar.isHidden())


def test_a_model_is_exported_imported_and_chosen(
    qtbot, choice, cache, tmp_path, monkeypatch
):
    path = [""]
    for ask in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, ask, lambda *a, **k: (path[0], ""))
    put_remote(cache)
    choose(choice, REMOTE)
    choice.menu.aboutToShow.emit()
    assert choice.export_file.text() == "Export RemoteCLIP B/32…"
    choice.export_file.trigger()
    assert not choice.job.busy
    path[0] = str(tmp_path / "a.zip")
    with qtbot.waitSignal(choice.message_sent) as signal:
        choice.export_file.trigger()
    assert signal.args[0] == "info"
    assert signal.args[1].startswith(f"RemoteCLIP B/32 is in {path[0]}. Its licence")
    qtbot.waitUntil(lambda: not choice.job.busy)
    choose(choice, "embedded")
    shutil.rmtree(cache)

    path[0] = ""
    choice.import_file.trigger()
    assert not choice.job.busy
    path[0] = str(tmp_path / "a.zip")
    with qtbot.waitSignal(choice.message_sent) as signal:
        choice.import_file.trigger()
    assert signal.args == ["info", "The model is imported."]
    assert choice.named() == NamedModel(REMOTE)
    assert is_available(choice.card())
    qtbot.waitUntil(lambda: not choice.job.busy)
    path[0] = str(tmp_path / "nowhere" / "a.zip")
    for action in (choice.import_file, choice.export_file):
        with qtbot.waitSignal(choice.message_sent) as signal:
            action.trigger()
        assert signal.args[0] == "error"
        qtbot.waitUntil(lambda: not choice.job.busy)


def test_a_file_is_asked_about_added_and_taken_off(
    qtbot, choice, tmp_path, monkeypatch
):
    path = tmp_path / "my weights.pt"
    path.write_bytes(WEIGHTS)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(path), ""))

    def fill_in():
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, AddDialog)
        assert dialog.name.text() == "my weights"
        dialog.accept()
        assert "Name its open_clip architecture" in dialog.error.text()
        offered = [
            dialog.architecture.itemText(i) for i in range(dialog.architecture.count())
        ]
        assert "ViT-B-16-quickgelu" in offered
        assert "RN50" not in offered
        dialog.architecture.setCurrentText("ViT-B-16-quickgelu")
        dialog.domain.setCurrentText("histology")
        dialog.accept()

    QTimer.singleShot(50, fill_in)
    choice.add_file.trigger()
    assert choice.named() == NamedModel("my-weights")
    assert choice.card().activation == "QuickGELU"
    row = choice.combo.currentIndex()
    below = [name for name, named in rows(choice.combo)[:row] if named is None]
    assert below[-1] == "Histology"
    choice.menu.aboutToShow.emit()
    assert choice.remove.text() == "Take off the list: my weights…"
    choice.remove.trigger()
    assert choice.named() == NamedModel("embedded")
    assert path.read_bytes() == WEIGHTS


def test_an_address_is_asked_about_added_downloaded_and_taken_off(
    qtbot, choice, tmp_path, monkeypatch
):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NAPARI_GEM_WEIGHTS", str(tmp_path / "weights"))
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    messages, seen, errors = [], [], []
    choice.message_sent.connect(lambda *message: messages.append(message))
    with serve({"my weights.pt": WEIGHTS}) as server:

        def fill_in():
            dialog = QApplication.activeModalWidget()
            dialog.address.setText(f"{server.address}/web/my%20weights.pt")
            dialog.accept()
            errors.append(dialog.error.text())
            dialog.sha256.setText(digest.upper())
            dialog.accept()
            errors.append(dialog.error.text())
            dialog.architecture.setCurrentText("ViT-B-16-quickgelu")
            dialog.licence.setText("CC-BY-4.0")
            dialog.source.setText("https://example.org/page")
            dialog.accept()

        QTimer.singleShot(50, fill_in)
        choice.add_address.trigger()
        assert "need their SHA-256" in errors[0]
        assert "Name its open_clip architecture" in errors[1]
        assert choice.named() == NamedModel("my-weights")
        assert "you see its size first" in about(choice)
        assert not server.asked
        choice.menu.aboutToShow.emit()
        assert choice.remove.text() == "Take off the list: my weights…"
        qtbot.waitUntil(lambda: not choice._marks.busy)
        press(BUTTONS.Ok, seen)
        choice.download.trigger()
        qtbot.waitUntil(lambda: bool(messages), timeout=10_000)
    assert messages == [("info", "my weights is on this computer now.")]
    assert seen == [
        "my weights is not on this computer. Download it?"
        "Size: less than 1 MB\nFrom: https://example.org/page\nLicence: CC-BY-4.0"
    ]
    qtbot.waitUntil(lambda: "To be downloaded" not in about(choice))
    for text in ("Remove my weights…", "Take off the list: my weights…"):
        choice.menu.aboutToShow.emit()
        assert (choice.remove.text(), choice.remove.isEnabled()) == (text, True)
        press(BUTTONS.Ok) if text.startswith("Remove") else None
        choice.remove.trigger()
        qtbot.waitUntil(lambda: not choice.job.busy)
    assert choice.named() == NamedModel("embedded")
    assert not list((tmp_path / "weights").glob("*"))


def test_the_box_tells_what_the_hub_said(qtbot):
    card = find_model("hf-hub:owner/repository")
    asked = replace(card, size=1_234_000_000, source="https://hub/x/y", licence="mit")
    box = download_box(asked)
    qtbot.addWidget(box)
    lines = box.informativeText().splitlines()
    assert lines == ["Size: about 1,234 MB", "From: https://hub/x/y", "Licence: mit"]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("RN50/openai", "no attention"),
        ("/nothere/x.safetensors", "no file or folder"),
    ],
)
def test_the_dialog_refuses_what_can_never_load(qtbot, typed, message):
    dialog = ModelDialog()
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.model.setText(typed)
    dialog.accept()
    assert message in dialog.error.text()
    assert dialog.chosen is None
    qtbot.wait(50)
    for line in (dialog.model, dialog.architecture, dialog.error):
        needed = line.heightForWidth(line.width()) if line is dialog.error else 0
        assert line.height() >= max(needed, line.minimumSizeHint().height())


# --- work beside the viewer's thread


def test_a_cancelled_job_closes_its_steps_and_says_nothing(qtbot):
    job, closed, done = BackgroundJob(), [], []

    def steps():
        try:
            while True:
                yield Progress("Downloading", 1, 2)
        finally:
            closed.append(True)

    with qtbot.waitSignal(job.progressed):
        job.run(steps, done.append)
    assert job.busy
    with qtbot.waitSignal(job.ended):
        job.cancel()
    assert (closed, done, job.busy) == ([True], [], False)


def test_a_failed_job_tells_its_sentence(qtbot):
    job, done = BackgroundJob(), []

    def steps():
        yield Progress("Downloading")
        raise GemError("No network.")

    messages = []
    job.failed.connect(messages.append)
    with qtbot.waitSignal(job.ended):
        job.run(steps, done.append)
    assert messages == ["No network."]
    assert done == []


def test_a_long_name_is_shown_from_its_start(choice):
    combo = choice.combo
    combo.resize(80, combo.height())
    combo.mark([choice.named().model])
    assert combo.lineEdit().cursorPosition() == 0
    choose(choice, REMOTE)
    assert combo.lineEdit().cursorPosition() == 0
    combo.lineEdit().clear()
    QTest.keyClicks(combo.lineEdit(), "histology")
    assert combo.lineEdit().cursorPosition() == len("histology")


@pytest.mark.contact("remembered state")
def test_a_job_that_fails_is_told_and_the_next_one_runs(qtbot):
    def broken():
        yield Progress("a")
        raise KeyError("odd")

    def whole():
        yield Progress("a")
        return 3

    def odd(_):
        raise ZeroDivisionError

    job, progress, done = BackgroundJob(), [], []
    job.failed.connect(progress.append)
    for steps, then in ((broken, done.append), (whole, odd), (whole, done.append)):
        job.run(steps, then)
        qtbot.waitUntil(lambda: not job.busy)
    qtbot.waitUntil(lambda: done == [3])
    assert "KeyError" in progress[0]
    assert "ZeroDivisionError" in progress[1]

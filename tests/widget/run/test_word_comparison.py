"""Words of a class are compared in the dock, on the image in front alone."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_gem.core.word_comparison import ComparedMaps, ComparedWords, WordFigures
from napari_gem.images.samples import load_fluorescence
from napari_gem.widget.prompts.word_explorer import BUSY, NOT_ENCODED
from napari_gem.worker.messages import Compared, Failed

SIDE = 12
PATIENCE = 600_000
"""Milliseconds at most: on a busy computer torch may take minutes to load."""


@pytest.fixture
def explorer(wired):
    _, widget, client = wired
    widget.show()
    client.load_comparison = lambda event: maps_of(event)
    explorer = widget.prompt_table.word_explorer
    widget.prompt_table.view.go_to(0)
    return explorer


def maps_of(event):
    count = len(event.compared.words)
    ramp = np.linspace(0, 255, SIDE * SIDE).astype(np.uint8).reshape(SIDE, SIDE)
    maps = np.stack([ramp] * count)
    return ComparedMaps(event.compared, maps, maps // 128)


def orders(client):
    return [request for request in client.requests if request.order is not None]


def answer(client, qtbot, explorer, known=True):
    """Send what a worker says of the last order."""
    request = orders(client)[-1]
    words = [
        WordFigures(word, known, 1 - n / 10, None, 0.5)
        for n, word in enumerate(request.order.words)
    ]
    compared = ComparedWords("nuclei", tuple(words), ("sky",), 1)
    client.send(Compared(len(client.requests), compared, "maps.npy"))
    qtbot.waitUntil(lambda: explorer.list.count() == len(words))


def test_words_of_the_class_and_of_sets_are_compared_when_it_unfolds(
    wired, explorer, qtbot
):
    client = wired[2]
    explorer.start()
    qtbot.waitUntil(lambda: bool(orders(client)))
    order, request = orders(client)[-1].order, orders(client)[-1]
    assert order.label == 1
    assert "nuclei" in order.words
    assert "nucleus" in order.words
    assert "filament" not in order.words
    assert request.encoded == "image 1"
    answer(client, qtbot, explorer)
    first = explorer.list.item(0)
    assert "100% clear" in first.text()
    assert first.data(Qt.ItemDataRole.AccessibleTextRole)
    assert explorer.winners.texts()[0].endswith(order.words[0])
    assert explorer.winners.texts()[1] == "50 % sky"
    assert not explorer.sentence.isVisible()
    assert len(orders(client)) == 1


def test_one_click_makes_it_the_words_and_undo_brings_them_back(wired, explorer, qtbot):
    _, widget, client = wired
    explorer.start()
    qtbot.waitUntil(lambda: bool(orders(client)))
    answer(client, qtbot, explorer)
    words = orders(client)[-1].order.words
    row = next(n for n, word in enumerate(words) if word != "nuclei")
    place = explorer.list.visualItemRect(explorer.list.item(row)).center()
    qtbot.mouseClick(explorer.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    table = widget.prompt_table
    assert table.prompts()[0].words == (words[row],)
    assert table.prompts()[0].name == "nuclei"
    assert explorer.list.item(row).text().startswith("✓")
    assert "nuclei" in explorer.words()
    explorer.list.setFocus()
    qtbot.keyClick(explorer.list, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert table.prompts()[0].words == ("nuclei",)
    qtbot.keyClick(explorer.list, Qt.Key.Key_Space, Qt.KeyboardModifier.ControlModifier)
    assert table.prompts()[0].words == ("nuclei", words[row])


def test_typed_words_foreign_and_unknown_are_compared_and_marked(
    wired, explorer, qtbot
):
    _, widget, client = wired
    explorer.start()
    said = []
    widget.prompt_table.message_sent.connect(lambda *m: said.append(m[1]))
    explorer.edit.setText("细胞核\uff0c<b>unicorn</b>, filament")
    qtbot.keyClick(explorer.edit, Qt.Key.Key_Return)
    assert "'filament' stands in another class" in said[-1]
    qtbot.waitUntil(lambda: bool(orders(client)))
    assert {"细胞核", "<b>unicorn</b>"} <= set(orders(client)[-1].order.words)
    answer(client, qtbot, explorer, known=False)
    assert all("⚠" in explorer.list.item(n).text() for n in range(3))
    count = explorer.list.count()
    explorer.list.setCurrentRow(0)
    qtbot.keyClick(explorer.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(orders(client)) == 2)
    assert len(orders(client)[-1].order.words) == count - 1


def test_another_image_is_not_encoded_and_an_answer_for_the_first_is_dropped(
    wired, explorer, qtbot
):
    viewer, widget, client = wired
    explorer.start()
    qtbot.waitUntil(lambda: bool(orders(client)))
    answer(client, qtbot, explorer)
    explorer.add_words(("one more",))
    qtbot.waitUntil(lambda: len(orders(client)) == 2)
    number = len(client.requests)
    other = viewer.add_image(np.zeros((9, 9)), name="other")
    viewer.layers.selection.active = other
    qtbot.waitUntil(lambda: widget.image_panel.layer() is other)
    qtbot.waitUntil(lambda: explorer.sentence.text() == NOT_ENCODED)
    assert explorer.encode_button.isVisible()
    assert explorer.list.count() == 0
    compared = ComparedWords("n", (WordFigures("x", True, 1, None, 1),), (), 1)
    client.send(Compared(number, compared, "maps.npy"))
    qtbot.wait(50)
    assert explorer.list.count() == 0


def test_a_run_comes_first_and_a_failure_says_why(wired, explorer, qtbot):
    _, widget, client = wired
    explorer.start()
    qtbot.waitUntil(lambda: bool(orders(client)))
    client.send(Failed(len(client.requests), "It is broken."))
    qtbot.waitUntil(lambda: explorer.sentence.text() == "It is broken.")
    widget.run()
    assert explorer.sentence.text() == BUSY
    client.send(client.finished(len(client.requests)))
    qtbot.waitUntil(lambda: len(orders(client)) == 2)
    answer(client, qtbot, explorer)


def test_a_folded_explorer_asks_for_nothing(wired, explorer, qtbot):
    _, widget, client = wired
    widget.prompt_table.add_text("more")
    qtbot.wait(400)
    assert not orders(client)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_real_worker_compares_words_beside_napari(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-gem", "GEM")
    (pixels, about, _), *_ = load_fluorescence()
    viewer.add_image(pixels[:64, :64], **about)
    table, explorer = widget.prompt_table, widget.prompt_table.word_explorer
    table.set_prompts(())
    table.add_text("nuclei\nfilaments")
    table.view.go_to(0)
    explorer.start()
    qtbot.waitUntil(explorer.encode_button.isVisible, timeout=PATIENCE)
    qtbot.mouseClick(explorer.encode_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: explorer.list.count() > 3, timeout=PATIENCE)
    explorer.edit.setText("unicorn")
    qtbot.keyClick(explorer.edit, Qt.Key.Key_Return)
    count = len(explorer.words())
    qtbot.waitUntil(lambda: explorer.list.count() == count, timeout=PATIENCE)
    last = explorer.list.item(count - 1)
    assert last.text().startswith("⚠ unicorn")
    names = " ".join(explorer.winners.texts())
    assert "filaments" in names
    widget.controller.close()

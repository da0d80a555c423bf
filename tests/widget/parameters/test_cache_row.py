"""The size of the encoded images on disk, and clearing them."""

from __future__ import annotations

from napari_gem.widget.parameters.cache_row import CacheRow
from napari_gem.worker.messages import Storage


def test_it_tells_the_size_and_clears(qtbot, tmp_path):
    entry = tmp_path / "kept" / ("0" * 32)
    entry.mkdir(parents=True)
    (entry / "features").write_bytes(bytes(3 << 20))
    row = CacheRow(lambda: Storage(folder=str(tmp_path / "kept")))
    qtbot.addWidget(row)
    row.show()
    qtbot.waitUntil(lambda: row.label.text().endswith(": 3 MB"))
    with qtbot.waitSignal(row.message_sent) as signal:
        row.button.click()
    assert signal.args == ["info", "3 MB of encoded images removed."]
    qtbot.waitUntil(lambda: row.label.text().endswith(": 0 MB"))
    assert not row.button.isEnabled()
    assert not entry.exists()


def test_a_folder_that_cannot_be_used_is_told(qtbot, tmp_path):
    (tmp_path / "file").touch()
    row = CacheRow(lambda: Storage(folder=str(tmp_path / "file" / "kept")))
    qtbot.addWidget(row)
    row.refresh()
    qtbot.waitUntil(lambda: "cannot be made" in row.label.text())
    assert not row.button.isEnabled()

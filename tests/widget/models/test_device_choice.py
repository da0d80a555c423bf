"""Where the model computes, with a real scheduler."""

from __future__ import annotations

import pytest

from napari_gem.cluster import connection
from napari_gem.cluster.tasks import WorkerReport
from napari_gem.core.errors import GemError
from napari_gem.models.find import find_model
from napari_gem.widget.models.cluster_view import report_text
from napari_gem.widget.models.device_choice import DeviceChoice
from tests.dask_processes import Processes
from tests.strange_servers import keep_silent, serve

CARD = find_model("embedded")


@pytest.fixture
def choice(qtbot):
    choice = DeviceChoice(lambda: CARD)
    qtbot.addWidget(choice)
    choice.show()
    return choice


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    started = Processes(tmp_path_factory.mktemp("cluster"), 0)
    yield started.address
    started.end()


def test_the_address_of_a_cluster_is_a_device(choice):
    assert choice.device() == "auto"
    assert not choice.cluster.isVisible()
    messages = []
    choice.changed.connect(lambda: messages.append(choice.combo.currentText()))
    choice.combo.setCurrentText("Dask cluster")
    assert choice.cluster.isVisible()
    with pytest.raises(GemError, match=r"give tcp://host:port"):
        choice.device()
    choice.cluster.edit.setText(" tcp://somewhere:8786 ")
    choice.cluster.edit.editingFinished.emit()
    assert choice.device() == "tcp://somewhere:8786"
    assert messages == ["Dask cluster"] * 2
    choice.set_device("cuda:1")
    assert choice.device() == "cuda:1"
    assert not choice.cluster.isVisible()
    choice.set_device("tls://other:8786")
    assert choice.device() == "tls://other:8786"


def test_the_test_says_who_is_there(choice, scheduler, qtbot, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.5)
    view = choice.cluster
    choice.set_device("tcp://127.0.0.1:9")
    view.button.click()
    assert view.button.text() == "Cancel"
    qtbot.waitUntil(lambda: "No dask scheduler answers" in view.answer.text())
    qtbot.waitUntil(lambda: view.button.text() == "Test connection")
    choice.set_device(scheduler)
    assert not view.answer.isVisible()  # it was about the other address
    view.button.click()
    qtbot.waitUntil(lambda: "no workers yet" in view.answer.text(), timeout=20_000)
    assert scheduler in view.answer.text()
    view.button.click()
    view.button.click()  # cancels
    qtbot.waitUntil(lambda: not view.job.busy, timeout=20_000)
    assert view.answer.text() == ""


@pytest.mark.contact("silent servers")
def test_who_keeps_silent_is_asked_and_can_be_left(choice, qtbot, monkeypatch):
    view = choice.cluster
    with serve(keep_silent) as port:
        choice.set_device(f"tcp://127.0.0.1:{port}")
        view.button.click()
        qtbot.waitUntil(lambda: view.answer.text().startswith(connection.ASKING))
        view.button.click()  # cancels
        qtbot.waitUntil(lambda: not view.job.busy)
        assert view.answer.text() == ""
        monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2)
        view.button.click()
        qtbot.waitUntil(lambda: "port of the dashboard" in view.answer.text())


def test_workers_are_told_with_gpus_versions_and_the_model():
    one = WorkerReport("tcp://1", "a", "1.0", "2.13", ("H100",), "cuda:0, float16")
    other = WorkerReport("tcp://2", "b", "1.0", "2.13", (), problem="It is not there.")
    assert report_text([one], CARD, "tcp://s").splitlines() == [
        "1 worker, 1 GPU",
        "napari-gem 1.0, torch 2.13",
        f"{CARD.name} loads on each.",
        "a: H100; cuda:0, float16",
    ]
    report = report_text([one, other], CARD, "tcp://s")
    assert "loads on each" not in report
    assert "b: no GPU; It is not there." in report
    assert report_text([one] * 9, CARD, "tcp://s").endswith("and 3 more")

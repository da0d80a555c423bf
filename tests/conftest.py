"""What all tests share."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator

import pytest
from hypothesis import settings

# how long an example takes tells how busy the computer is
settings.register_profile("calm", deadline=None)
settings.load_profile("calm")

# viewer changes off the main thread raise
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"

# pytest-qt takes the binding that napari takes
os.environ.setdefault("QT_API", "pyqt6")
os.environ["PYTEST_QT_API"] = os.environ["QT_API"].lower()

# no models, settings or encoded images of the user who runs the tests
_settings = tempfile.mkdtemp(prefix="napari-gem-tests-")
atexit.register(shutil.rmtree, _settings, ignore_errors=True)
os.environ["NAPARI_GEM_CONFIG"] = _settings
os.environ["NAPARI_GEM_CACHE"] = _settings + "/features"
os.environ["NAPARI_GEM_WEIGHTS"] = _settings + "/weights"


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (status, output, errors)."""
    from napari_gem.cli.__main__ import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-gem", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring what takes long to the front, so that no process ends long before.

    First come files with tests that have more time than usual, then those with slow
    tests, then those with real viewers.
    """
    long = {item.path for item in items if item.get_closest_marker("timeout")}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    shown = {
        item.path
        for item in items
        if "make_napari_viewer" in getattr(item, "fixturenames", ())
    }
    items.sort(
        key=lambda item: [item.path not in files for files in (long, slow, shown)]
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exempt what the tests import from garbage collection: it lives to the end.

    napari's fixture collects garbage for each viewer, and looked through all of it.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Write the kind of contact into the report, which also comes from xdist."""
    mark = item.get_closest_marker("contact")
    if mark is not None:
        item.user_properties.append(("contact", mark.args[0]))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print how many cases of each kind of contact were tried, and how many held."""
    if "contact" not in (config.option.markexpr or ""):
        return
    tried: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            kind = dict(getattr(report, "user_properties", ())).get("contact")
            if kind is None or (report.when != "call" and outcome == "passed"):
                continue
            tried[str(kind)] += 1
            held[str(kind)] += outcome == "passed"
    width = max(map(len, [*tried, "kind"]))
    terminalreporter.write_sep("-", "first contact")
    terminalreporter.write_line(f"{'kind':{width}}  tried  held")
    for kind in sorted(tried):
        terminalreporter.write_line(f"{kind:{width}}  {tried[kind]:5}  {held[kind]:4}")

"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable

import pytest

# viewer changes off the main thread raise
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"

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
    from napari_gem import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-gem", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run

"""A folder of what passed the gate and nothing else, for open_clip to build from."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from napari_gem.core.errors import GemError
from napari_gem.models.configurations import CONFIG, TOWER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def staged(
    stated: Mapping[str, Any], tower: bytes | None, tokenizer: Mapping[str, bytes]
) -> Iterator[Path]:
    """Lay down a configuration while the block runs.

    Libraries look for more files than somebody names, and read the same file again and
    again. The folder holds nothing unchecked, and nobody else writes to it.
    """
    with _folder() as folder:
        try:
            _write(folder, stated, tower, tokenizer)
        except OSError as error:
            raise GemError(_no_room(error)) from error
        yield folder


def _write(
    folder: Path,
    stated: Mapping[str, Any],
    tower: bytes | None,
    tokenizer: Mapping[str, bytes],
) -> None:
    model = dict(stated["model_cfg"])
    if tower is not None:
        text = folder / "text"
        text.mkdir()
        (text / TOWER).write_bytes(tower)
        # a folder instead of the repository, which then is not asked
        model["text_cfg"] = model["text_cfg"] | {"hf_model_name": str(text)}
    content = json.dumps({**stated, "model_cfg": model})
    (folder / CONFIG).write_text(content, encoding="utf-8")
    for name, part in tokenizer.items():
        (folder / name).write_bytes(part)


@contextmanager
def _folder() -> Iterator[Path]:
    try:
        folder = TemporaryDirectory(prefix="napari-gem-", ignore_cleanup_errors=True)
    except OSError as error:
        raise GemError(_no_room(error)) from error
    with folder as path:
        yield Path(path)


def _no_room(error: OSError) -> str:
    return (
        f"The folder for temporary files cannot be written ({error.strerror}). Make "
        "room there, or set TMPDIR to another folder."
    )

"""Imports open_clip; every other module gets it from here."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.library import Library

_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declared: list[Library] = []  # an operator lives as long as its library object


@cache
def import_open_clip() -> Any:
    """Import open_clip, also beside a torchvision that was built for another torch.

    open_clip uses torchvision's image transforms, which are plain Python. A torchvision
    whose compiled operators do not fit torch (CPU-only torch beside a CUDA torchvision)
    still fails on import, because it describes operators that were never loaded. Then,
    and only then, their schemas are declared and the import is repeated. The operators
    stay without an implementation: calling one fails, as it did before.

    Returns
    -------
    module
        ``open_clip``.

    Raises
    ------
    RuntimeError
        If torchvision fails on import for another reason.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        _declare_operators()
        import_module("torchvision")
    return import_module("open_clip")


def _declare_operators() -> None:
    from torch.library import Library

    library = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        library.define(name + _SCHEMA)  # type: ignore[no-untyped-call]
    _declared.append(library)
    # Modules left by the failed import would be taken as they are.
    for module in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
        del sys.modules[module]

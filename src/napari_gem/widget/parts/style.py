"""Style sheets that several parts share."""

from __future__ import annotations

BUTTON = (
    "QToolButton { padding: 2px 14px 2px 6px; border-radius: 2px; "
    "border: 1px solid rgba(128, 128, 128, 50%); }"
)

"""Requests like another one."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from napari_gem.core.results import Job
from napari_gem.worker.messages import Request

_JOB = {field.name for field in fields(Job)}


def change(request: Request, **changes: Any) -> Request:
    """Change fields of a request, and of its job."""
    job = {name: value for name, value in changes.items() if name in _JOB}
    more = {name: value for name, value in changes.items() if name not in _JOB}
    return replace(request, job=replace(request.job, **job), **more)

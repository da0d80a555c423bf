"""What the package imports is what `pyproject.toml` names."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "napari_gem"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]

PARTS = {"pydantic_core": "pydantic"}
"""What another package asks for in exactly one version."""

pytestmark = pytest.mark.contact("versions")


def named(requirements: list[str]) -> set[str]:
    """Names of the packages of requirements, in lower case."""
    names = (re.split(r"[<>=!~;\[ ]", one, maxsplit=1)[0] for one in requirements)
    return {name.lower().replace("_", "-") for name in names}


@cache
def packages_of(module: str) -> frozenset[str]:
    """Names of the packages that a module may come from, in lower case."""
    if module in PARTS:
        return frozenset({PARTS[module]})
    names = installed().get(module, [])
    return frozenset(name.lower().replace("_", "-") for name in names)


@cache
def installed() -> Mapping[str, list[str]]:
    """Modules with the packages that they come from."""
    return packages_distributions()


def imported(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file with the top-level modules that it imports."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            yield from ((path, module.split(".")[0]) for module in modules)


def test_what_is_imported_is_named() -> None:
    missing = set()
    for path, module in imported(SOURCE):
        if module in sys.stdlib_module_names or module == "napari_gem":
            continue
        part = path.relative_to(SOURCE).parts[0]
        allowed = named(PROJECT["dependencies"])
        if part == "widget":
            allowed |= named(EXTRAS["napari"])
        if part == "images":
            allowed |= named(EXTRAS["geo"]) | named(EXTRAS["microscopes"])
        if part == "results":
            allowed |= named(EXTRAS["vectors"])
        if part.startswith("cluster"):
            allowed |= named(EXTRAS["distributed"])
        # what is not installed here has the name of its package
        if not (packages_of(module) or {module}) & allowed:
            missing.add(f"{part} imports {module}")
    assert not missing


def test_what_is_named_is_imported() -> None:
    """Also by name: `import_module("torchvision")`."""
    text = "\n".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py"))
    modules = {module for _, module in imported(SOURCE)}
    modules |= set(re.findall(r'import_module\("(\w+)"\)', text))
    used = set().union(*map(packages_of, modules))
    assert not named(PROJECT["dependencies"]) - used


def test_all_brings_all_extras() -> None:
    (whole,) = (one for one in EXTRAS["all"] if one.startswith("napari-gem["))
    # the plugins for microscopes have other licences, so they are asked for by name
    others = {"all", "microscopes"}
    assert set(re.findall(r"\w+", whole)[2:]) == EXTRAS.keys() - others

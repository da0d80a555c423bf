"""Tables of what was measured on real pictures, and the page that has them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_gem.core.errors import GemError
from training.real_kinds import KINDS

if TYPE_CHECKING:
    from training.real_pictures import KindFigures

PAGE = Path(__file__).parents[1] / "docs" / "on-real-pictures.md"
CARD = PAGE.parents[1] / "src/napari_gem/models/embedded/model_card.md"
TRAINED_ON = ("What it was trained on", "What it is")
"""Headings of the model card's section that goes to the page; the first that exists."""


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def answer_rows(figures: dict[str, KindFigures]) -> Iterator[str]:
    """Give the lines of the Markdown table of words."""
    yield "| pictures | word | IoU | best IoU (at) | AUROC | Otsu, IoU | pointed at |"
    yield "|---|---|---|---|---|---|---|"
    for name, measured in figures.items():
        kind = KINDS[name]
        for question in kind.questions:
            answer = measured.answers[question.word]
            begin = f"| {kind.title} | {question.word} |"
            if not answer.known:
                yield f"{begin} the model does not know the word | | | | |"
            elif answer.iou is not None:
                best = f"{_cell(answer.best_iou)} ({_cell(answer.best_threshold)})"
                cells = (
                    _cell(answer.iou),
                    best,
                    f"{answer.auroc:.3f}",
                    _cell(answer.otsu),
                    _cell(answer.pointed_at),
                )
                yield f"{begin.replace(' |', f' ({answer.pictures}) |', 1)} " + (
                    f"{' | '.join(cells)} |"
                )


def point_rows(figures: dict[str, KindFigures]) -> Iterator[str]:
    """Give the lines of the Markdown table of points; none if there are no points."""
    answers = [
        (KINDS[name].title, word, answer)
        for name, measured in figures.items()
        for word, answer in measured.answers.items()
        if answer.points_inside is not None
    ]
    if not answers:
        return
    yield "| pictures | word | points inside | area | Otsu: points inside | area |"
    yield "|---|---|---|---|---|---|"
    for title, word, answer in answers:
        values = (
            answer.points_inside,
            answer.area,
            answer.otsu_points_inside,
            answer.otsu_area,
        )
        cells = " | ".join(map(_cell, values))
        yield f"| {title} ({answer.pictures}) | {word} | {cells} |"


def absent_rows(figures: dict[str, KindFigures]) -> Iterator[str]:
    """Give the lines of the Markdown table of absent words; none if none was asked."""
    if not any(measured.absent for measured in figures.values()):
        return
    yield "| pictures | absent word that takes the most | area | words asked, by area |"
    yield "|---|---|---|---|"
    for name, measured in figures.items():
        if measured.most_absent is not None:
            word, share = measured.most_absent
            pairs = sorted(measured.absent.items(), key=lambda pair: -pair[1])
            words = ", ".join(f"{word} {share:.2f}" for word, share in pairs)
            yield f"| {KINDS[name].title} | {word} | {share:.2f} | {words} |"


def ingredient_rows(measured: dict[str, dict[str, KindFigures]]) -> Iterator[str]:
    """Give the lines of the Markdown table of variants: title to figures by kind."""
    columns = [
        (name, word)
        for name, figures in next(iter(measured.values())).items()
        for word, answer in figures.answers.items()
        if answer.iou is not None
    ]
    titles = (f"{KINDS[name].title}: {word}" for name, word in columns)
    yield f"| | {' | '.join(titles)} | absent words, most area |"
    yield "|---|" + "---|" * (len(columns) + 1)
    for title, kinds in measured.items():
        cells = [_cell(kinds[name].answers[word].iou) for name, word in columns]
        pairs = [figures.most_absent for figures in kinds.values()]
        share, word = max(
            ((pair[1], pair[0]) for pair in pairs if pair), default=(0, "")
        )
        yield f"| {title} | {' | '.join(cells)} | {share:.2f} ({word}) |"


def tables(figures: dict[str, KindFigures]) -> str:
    """Return the Markdown tables of all kinds."""
    several = (answer_rows, point_rows, absent_rows)
    parts = ["\n".join(rows(figures)) for rows in several]
    unknown = sorted({word for m in figures.values() for word in m.unknown})
    if unknown:
        parts.append(f"The model does not know these words: {', '.join(unknown)}.")
    return "\n\n".join(part for part in parts if part)


def write_page(
    page: Path,
    figures: dict[str, KindFigures],
    several: dict[str, dict[str, KindFigures]],
    options: argparse.Namespace,
) -> None:
    """Replace what stands between the marks of a page by what was measured."""
    limit = f", at most {options.limit} of each kind" if options.limit else ""
    about = (
        f"Model `{options.model}`, pictures of the part `{options.part}`{limit}; the "
        "number of pictures stands in brackets."
    )
    parts = {
        "figures": f"{about}\n\n{tables(figures)}",
        "trained": section_of(CARD.read_text(encoding="utf-8"), TRAINED_ON),
    }
    if several:
        rows = "\n".join(ingredient_rows(several))
        parts["ingredients"] = (
            f"At most {options.ingredients} pictures of each kind; IoU.\n\n{rows}"
        )
    text = page.read_text(encoding="utf-8")
    for name, content in parts.items():
        text = fill(text, name, content)
    page.write_text(text, encoding="utf-8")


def fill(text: str, name: str, content: str) -> str:
    """Replace what stands between the two marks of a name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    after = rest.partition(end)[2]
    if not found or not after:
        raise GemError(f"The page has no marks '{begin}' and '{end}'.")
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def section_of(text: str, headings: Iterable[str]) -> str:
    """Return the text under the first of these headings that a page has."""
    for heading in headings:
        rest = text.partition(f"\n## {heading}\n")[2]
        if rest:
            return rest.partition("\n## ")[0].strip()
    return ""


def as_json(figures: dict[str, KindFigures], **about: object) -> str:
    """Return all figures as JSON; NaN becomes null."""
    kinds = {name: asdict(measured) for name, measured in figures.items()}
    return json.dumps(_without_nan({**about, "kinds": kinds}), indent=1) + "\n"


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value

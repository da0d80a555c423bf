from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from napari_gem.core.errors import GemError
from napari_gem.core.progress import run
from napari_gem.core.prompts import Prompt
from napari_gem.evaluation.controls import Control, parse_control
from napari_gem.evaluation.datasets import read_dataset
from napari_gem.evaluation.protocols import find_protocol
from napari_gem.evaluation.run import choose, evaluate_steps, prepare
from napari_gem.evaluation.score import Method
from napari_gem.evaluation.store import IMAGES, PICTURES, RESULTS, TALLY
from napari_gem.segmentation.pipeline import encode, segment
from tests.evaluation import layouts

if TYPE_CHECKING:
    from pathlib import Path

    from napari_gem.evaluation.datasets import Dataset
    from napari_gem.evaluation.run import Measurement
    from napari_gem.models.model import Model


def _method(model: Model, name: str = "model", control: str = "none") -> Method:
    protocol = find_protocol(name)
    return Method(name, protocol, parse_control(control), model.card.encode.gem, 96)


def _work(
    model: Model,
    dataset: Dataset,
    folder: Path,
    method: Method | None = None,
    **options: bool,
) -> Measurement:
    return prepare(model, dataset, method or _method(model), folder, **options)


def _results(folder: Path) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / RESULTS).read_text())
    return results


def _stop_after(images: int, work: Measurement) -> None:
    steps = evaluate_steps(work)
    for step in steps:
        if step.stage == "Evaluating" and step.done == images:
            steps.close()


@pytest.fixture
def dataset(scenes: Path) -> Dataset:
    return read_dataset("folder", scenes)


def test_figures_are_those_of_segment_and_scikit_learn(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    fresh = replace(model, texts={})
    steps = list(evaluate_steps(_work(fresh, dataset, tmp_path / "out")))
    measured = [(s.done, s.total) for s in steps if s.stage == "Evaluating"]
    assert measured == [(i, 4) for i in range(5)]
    assert steps[0].stage == "Reading words"
    prompts = [Prompt(entry.words) for entry in dataset.classes]
    nothing_else = replace(model.card.score, background=())
    truths, labels = [], []
    for sample in dataset.samples:
        features = encode(np.asarray(Image.open(sample.image)), model)
        result = segment(features, prompts, model, parameters=nothing_else)
        labels.append(result.labels.ravel().astype(int) - 1)
        assert sample.mask is not None
        truths.append(np.asarray(Image.open(sample.mask)).ravel().astype(int) - 1)
    truth, predicted = np.concatenate(truths), np.concatenate(labels)
    present = np.union1d(truth, predicted)
    expected = jaccard_score(truth, predicted, labels=present, average="macro")
    results = _results(tmp_path / "out")
    assert results["overall"]["iou"] == pytest.approx(expected, abs=1e-3)
    assert results["overall"]["accuracy"] == pytest.approx(
        (truth == predicted).mean(), abs=1e-3
    )
    assert results["measured"] == 4
    assert results["overall"]["auroc"] > 0.9


def test_a_stopped_measurement_goes_on_to_the_same_figures(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    run(evaluate_steps(_work(model, dataset, tmp_path / "whole")))
    _stop_after(2, _work(model, dataset, tmp_path / "parts"))
    assert _results(tmp_path / "parts")["measured"] == 2
    again = _work(model, dataset, tmp_path / "parts", resume=True)
    steps = list(evaluate_steps(again))
    assert [step.done for step in steps if step.stage == "Evaluating"] == [2, 3, 4]
    whole, parts = _results(tmp_path / "whole"), _results(tmp_path / "parts")
    assert parts["overall"] == whole["overall"]
    assert parts["classes"] == whole["classes"]


def test_images_behind_the_saved_counts_are_measured_again(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _stop_after(1, _work(model, dataset, out))
    saved = (out / TALLY).read_bytes()
    run(evaluate_steps(_work(model, dataset, out, resume=True)))
    before = _results(out)
    (out / TALLY).write_bytes(saved)  # as if it had been killed
    work = _work(model, dataset, out, resume=True)
    assert len(work.store.done) == 1
    run(evaluate_steps(work))
    assert _results(out)["overall"] == before["overall"]
    assert len((out / IMAGES).read_text().splitlines()) == 4


def test_other_measurements_are_not_mixed(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    _work(model, dataset, out)
    with pytest.raises(GemError, match="by --resume"):
        _work(model, dataset, out)
    other = replace(_method(model), control=Control("noise", 0.1))
    with pytest.raises(GemError, match="another control"):
        _work(model, dataset, out, other, resume=True)
    with pytest.raises(GemError, match="holds other files"):
        _work(model, dataset, tmp_path)
    (out / TALLY).write_bytes(b"no counts")
    with pytest.raises(GemError, match="cannot be read"):
        _work(model, dataset, out, resume=True)


def test_a_measurement_does_not_shrink(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(evaluate_steps(_work(model, choose(dataset, 2), out)))
    with pytest.raises(GemError, match=r"2 images are measured .* larger --limit"):
        _work(model, choose(dataset, 1), out, resume=True)
    run(evaluate_steps(_work(model, choose(dataset, 3), out, resume=True)))
    assert _results(out)["measured"] == 3


def test_missing_files_are_told_before_work(
    model: Model, scenes: Path, tmp_path: Path
) -> None:
    (scenes / "masks" / "0002.png").unlink()
    dataset = read_dataset("folder", scenes)
    with pytest.raises(GemError, match=r"'.*0002.png' is missing. Complete"):
        _work(model, dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_pairs_are_named_and_left_out_only_if_asked(
    model: Model, scenes: Path, tmp_path: Path
) -> None:
    masks = scenes / "masks"
    (masks / "0000.png").unlink()
    layouts.write_mask(masks / "0001.png", np.ones((5, 5), np.uint8))
    layouts.write_mask(masks / "0002.png", np.full((64, 64), 77, np.uint8))
    dataset = read_dataset("folder", scenes)
    broken = replace(dataset, samples=dataset.samples[1:])
    steps = evaluate_steps(_work(model, broken, tmp_path / "strict"))
    with pytest.raises(GemError, match=r"'0001': the image has.*--resume --skip"):
        run(steps)
    out = tmp_path / "lenient"
    run(evaluate_steps(_work(model, dataset, out, skip_bad=True)))
    results = _results(out)
    assert results["measured"] == 1
    assert sorted(results["bad"]) == ["0000", "0001", "0002"]
    assert "is missing" in results["bad"]["0000"]
    assert "holds 77" in results["bad"]["0002"]


def test_a_class_without_pixels_has_no_figures(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    one = replace(dataset, samples=dataset.samples[:1])
    run(evaluate_steps(_work(model, one, tmp_path / "out")))
    rows = {row["name"]: row for row in _results(tmp_path / "out")["classes"]}
    mask = dataset.samples[0].mask
    assert mask is not None
    classes = set(np.unique(np.asarray(Image.open(mask))) - 1)
    for number, entry in enumerate(dataset.classes):
        known = rows[entry.name]["auroc"] is not None
        assert known == (number in classes)
        assert (rows[entry.name]["absent_probability"] is None) == known


def test_points_are_measured_on_heat_maps(model: Model, tmp_path: Path) -> None:
    dataset = read_dataset("openimages", layouts.openimages(tmp_path / "points"))
    out = tmp_path / "out"
    run(evaluate_steps(_work(model, dataset, out, _method(model))))
    overall = _results(out)["overall"]
    assert 0 <= overall["point_iou"] <= 1
    assert overall["iou"] is None
    assert len(list((out / PICTURES).iterdir())) == 2


@pytest.mark.parametrize("name", ["paper", "paper-cosine", "sliding"])
def test_every_protocol_finds_most_of_the_scenes(
    name: str, model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    one = replace(dataset, samples=dataset.samples[:2])
    protocol = replace(find_protocol(name), size=128, window=64, stride=32)
    if name != "sliding":
        protocol = replace(protocol, window=0, stride=0)
    method = replace(_method(model), name=name, protocol=protocol)
    run(evaluate_steps(_work(model, one, tmp_path / "out", method)))
    assert _results(tmp_path / "out")["overall"]["accuracy"] > 0.5


def _iou_and_auroc(
    model: Model, dataset: Dataset, folder: Path, control: str
) -> tuple[float | None, float | None]:
    method = _method(model, control=control)
    run(evaluate_steps(_work(model, dataset, folder / control, method)))
    overall = _results(folder / control)["overall"]
    return overall["iou"], overall["auroc"]


def test_controls_come_out_as_they_must(
    model: Model, dataset: Dataset, tmp_path: Path
) -> None:
    figures = {
        control: _iou_and_auroc(model, dataset, tmp_path, control)
        for control in ("none", "shuffled", "generic", "absent", "distractors=20")
    }
    iou, auroc = figures["none"]
    assert iou is not None and auroc is not None
    shuffled, generic, distractors = (
        figures[key] for key in ("shuffled", "generic", "distractors=20")
    )
    assert shuffled[0] is not None and shuffled[0] < iou / 2
    assert shuffled[1] is not None and shuffled[1] < 0.7 < auroc
    assert generic[1] is not None and generic[1] == pytest.approx(0.5, abs=0.01)
    # of a few small scenes; words that are nowhere are told apart by now
    assert distractors[0] is not None and distractors[0] < 1.1 * iou
    assert figures["absent"] == (None, None)
    absent = _results(tmp_path / "absent")["overall"]
    assert 0 < absent["absent_probability"] <= 1


def test_a_limit_takes_a_part_that_grows(dataset: Dataset) -> None:
    names = [
        {sample.name for sample in choose(dataset, limit).samples}
        for limit in (1, 2, 3, 9, None)
    ]
    assert [len(part) for part in names] == [1, 2, 3, 4, 4]
    assert names[0] < names[1] < names[2] < names[3]

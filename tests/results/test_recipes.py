"""Recipes: replaying one, or what it is said as, gives the same labels."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile

import napari_gem
from napari_gem import results
from napari_gem.cli import app
from napari_gem.core.appearance import Appearance
from napari_gem.core.errors import GemError
from napari_gem.core.fields import with_values
from napari_gem.core.foreign_text import is_command
from napari_gem.core.parameters import (
    EncodeParameters,
    GemParameters,
    LabelParameters,
)
from napari_gem.core.prompts import Example, Prompt
from napari_gem.core.region import Region
from napari_gem.images.files import read_image
from napari_gem.images.samples import read_sample
from napari_gem.models import load
from napari_gem.models.find import find_model
from napari_gem.prompts.parsing import parse_prompts, read_words, write_words
from napari_gem.results.as_command import needs_file
from napari_gem.results.save import save
from napari_gem.segmentation.replay import replay

PROMPTS = (
    Prompt(
        ("nuclei", "nucleus"),
        label=7,
        color=(1.0, 0.5, 0.0),
        threshold=0.45,
        examples=(Example((40.0, 30.5)), Example((70.0, 90.0), positive=False)),
    ),
    Prompt(("filaments",), label=3, title="Actin, it's", threshold=0.6),
)


@pytest.fixture(scope="module")
def model():
    return napari_gem.load_model("embedded")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A 16-bit file of one channel."""
    pixels = read_sample("fluorescence")[0].pixels
    path = tmp_path_factory.mktemp("images") / "it's one.tif"
    grey = pixels[100:190, 100:210].astype(np.uint16).sum(axis=-1, dtype=np.uint16)
    tifffile.imwrite(path, grey, photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def plain(model, image):
    """A result that can be said in options."""
    return make(model, image, prompts=["nuclei, nucleus", "filaments"])


@pytest.fixture(scope="module")
def fancy(model, image):
    """A result with all that a recipe can hold."""
    region = Region((8, 80), (4, 100), ((8.0, 4.0), (8.0, 100.0), (80.0, 50.0)))
    lut = ((0.0, 0.0, 0.0), (0.25, 0.5, 0.75), (1.0, 1.0, 1.0))
    return make(
        model,
        image,
        appearance=Appearance(limits=(10.0, 500.0), gamma=0.8, lut=lut),
        encode=replace(
            model.card.encode,
            zoom=1.5,
            gem=replace(model.card.encode.gem, depth=4, residual=True),
        ),
        region=region,
        prompts=PROMPTS,
        score=replace(
            model.card.score,
            background=("background", "sky"),
            background_weight=0.8,
            smoothing=2.5,
        ),
        label=LabelParameters(minimum_size=30),
    )


def make(
    model, path, prompts, appearance=None, encode=None, region=None, score=None,
    label=None,
):  # fmt: skip
    pixels = read_image(path).pixels
    features = napari_gem.encode(
        pixels, model, appearance=appearance, parameters=encode, region=region
    )
    return napari_gem.segment(features, prompts, model, parameters=score, label=label)


def labels_of(folder):
    return tifffile.imread(folder / "labels.tif")


# --- the file


@pytest.mark.parametrize("name", ["plain", "fancy"])
def test_a_recipe_file_reads_back_the_same(request, name, tmp_path):
    recipe = request.getfixturevalue(name).recipe
    path = results.write_recipe(recipe, tmp_path / "a.json")
    assert results.read_recipe(path) == recipe
    assert json.loads(path.read_text())["napari_gem_recipe"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_recipes_from_before_domains_read_as_they_were(plain, tmp_path):
    content = json.loads(results.write_recipe(plain.recipe, tmp_path / "a").read_text())
    assert content.pop("competing") == list(plain.recipe.competing) != []
    for name in ("domain", "likeliest", "background_growth"):
        del content["score"][name]
    (tmp_path / "old.json").write_text(json.dumps(content))
    old = results.read_recipe(tmp_path / "old.json")
    usual = {"domain": "general", "likeliest": 0, "background_growth": 0.0}
    assert old.score == replace(plain.recipe.score, **usual)
    assert old.competing == ()


def test_a_recipe_tells_its_detail(plain, fancy, model):
    for recipe in (plain, fancy):
        wanted = model.backbone.patch_size / recipe.recipe.encode.zoom
        assert recipe.recipe.patch == pytest.approx(wanted)


def test_the_recipe_of_saved_results_is_read(fancy, image, tmp_path):
    save(fancy, read_image(image), tmp_path)
    assert results.read_recipe(tmp_path) == fancy.recipe
    content = json.loads((tmp_path / "recipe.json").read_text())
    names = {"0": "background", "7": "nuclei", "3": "Actin, it's"}
    assert content["labels"] == names
    # as results were written before there was a schema version
    del content["napari_gem_recipe"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    assert results.read_recipe(tmp_path / "old.json") == fancy.recipe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"napari_gem_recipe": 2}, "Update napari-gem"),
        ({"napari_gem_recipe": "x"}, "It is no recipe"),
        ({"prompts": [{"words": ["a"], "threshold": "much"}]}, "prompts.0.threshold"),
        ({"prompts": []}, "no prompts"),
        ({"prompts": [{"words": []}]}, "neither words"),
        ({"prompts": [{"words": ["a"], "label": 1}] * 2}, "label ids"),
        ({"encode": {"gem": {"method": "magic"}}}, "encode.gem.method"),
        ({"model": None}, "model"),
        ({"score": {"background_weight": 0}}, "Background weight"),
        ({"label": {"minimum_size": -1}}, "Minimum size"),
        ({"appearance": {"limits": [1, 0]}}, "contrast limits"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(plain, tmp_path, change, said):
    path = results.write_recipe(plain.recipe, tmp_path / "a.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(GemError, match=said) as error:
        results.read_recipe(path)
    assert "a.json" in str(error.value)


def test_a_file_that_is_no_recipe_is_refused(tmp_path):
    with pytest.raises(GemError, match="cannot be read"):
        results.read_recipe(tmp_path / "none.json")
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[1]", b"3"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(GemError, match="no recipe"):
            results.read_recipe(tmp_path / "a.json")


def test_a_recipe_that_cannot_be_written_leaves_the_old_one(plain, tmp_path):
    (tmp_path / "a.json").mkdir()
    for path in (tmp_path / "none" / "a.json", tmp_path / "a.json"):
        with pytest.raises(GemError, match="cannot be written"):
            results.write_recipe(plain.recipe, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


# --- made again


@pytest.mark.parametrize("name", ["plain", "fancy"])
def test_replay_gives_the_same_labels(request, name, image, model, tmp_path):
    recipe = request.getfixturevalue(name)
    path = results.write_recipe(recipe.recipe, tmp_path / "a.json")
    again = replay(results.read_recipe(path), read_image(image).pixels)
    np.testing.assert_array_equal(again.labels, recipe.labels)
    # matrix products may round differently wherever an array begins in memory
    np.testing.assert_allclose(again.probabilities, recipe.probabilities, atol=1e-6)
    assert again.recipe == recipe.recipe
    assert set(np.unique(recipe.labels)) >= {0, 7 if name == "fancy" else 1}


def test_a_recipe_of_a_gpu_is_replayed_without_its_precision(plain, image, monkeypatch):
    monkeypatch.setattr(load, "has_precision", lambda name, _: name != "float16")
    recipe = replace(plain.recipe, precision="float16")
    again = replay(recipe, read_image(image).pixels, device="cpu")
    assert again.recipe.precision == "float32"
    np.testing.assert_array_equal(again.labels, plain.labels)


def test_each_part_of_a_recipe_matters(fancy, image, model):
    """A part that replay forgets would go unnoticed otherwise."""
    recipe, pixels = fancy.recipe, read_image(image).pixels
    changes = (
        {"encode": EncodeParameters(GemParameters(), zoom=2, tile=16, overlap=4)},
        {"score": replace(recipe.score, smoothing=0)},
        {"label": LabelParameters()},
        {"appearance": replace(recipe.appearance, gamma=3.0)},
        {"region": None},
        {"prompts": (replace(PROMPTS[0], threshold=0.9), PROMPTS[1])},
    )
    for change in changes:
        again = replay(replace(recipe, **change), pixels, model=model)
        assert (again.labels != fancy.labels).any(), change


def test_other_weights_are_refused_unless_allowed(plain, image, model):
    recipe = replace(plain.recipe, revision="0" * 16)
    pixels = read_image(image).pixels
    with pytest.raises(GemError, match="0000000000000000 of embedded, but here"):
        replay(recipe, pixels, model=model)
    again = replay(recipe, pixels, model=model, other_weights=True)
    assert again.recipe.revision == model.revision


def test_an_image_that_does_not_suit_is_refused(plain, fancy, model):
    for recipe, shape in (
        (plain.recipe, (20, 20, 3)),
        (plain.recipe, (20,)),
        (fancy.recipe, (20, 20)),
    ):
        with pytest.raises(GemError):
            replay(recipe, np.zeros(shape, np.uint8), model=model)


# --- as Python


def test_the_script_gives_the_same_labels(plain, fancy, image, tmp_path):
    scripts = [
        results.as_python(recipe.recipe, image, output=name)
        for name, recipe in (("plain", plain), ("fancy", fancy))
    ]
    # one process: torch takes long to load
    subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(scripts)],
        cwd=tmp_path,
        check=True,
    )
    for name, recipe in (("plain", plain), ("fancy", fancy)):
        np.testing.assert_array_equal(labels_of(tmp_path / name), recipe.labels)
        assert results.read_recipe(tmp_path / name) == recipe.recipe


@pytest.mark.slow
def test_bands_and_no_data_are_said(call, plain, tmp_path):
    planes = np.random.default_rng(2).integers(1, 900, (4, 96, 64)).astype(np.uint16)
    planes[:, 10:50, 20:60] = 7
    path, model = tmp_path / "bands.tif", plain.recipe.model
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CYX"})
    how = "-p", "nuclei", "-p", "dog", "--bands", "4,1,2", "--nodata", "7", "-m", model
    assert call("segment", path, *how, "-o", tmp_path / "first")[0] == 0
    recipe = results.read_recipe(tmp_path / "first")
    script = results.as_python(recipe, path, output="script")
    assert "bands='4,1,2', nodata='7')\n" in script
    code = [sys.executable, "-W", "error", "-c", script]
    subprocess.run(code, cwd=tmp_path, check=True)
    expected = labels_of(tmp_path / "first")
    assert expected.any()
    assert not expected[10:50, 20:60].any()
    np.testing.assert_array_equal(labels_of(tmp_path / "script"), expected)
    # colours of channels are in the recipe's file alone
    assert needs_file(recipe)
    one = replace(recipe, bands="3", appearance=Appearance(limits=(0.0, 900.0)))
    line = results.as_command(one, path)
    assert " --bands 3 --nodata 7 " in line
    assert needs_file(replace(one, factor=2.0))
    assert "factor=2.0" in results.as_python(replace(one, factor=2.0), path)


def test_the_script_is_short_lines(fancy):
    example = Example(vector=tuple(np.linspace(0, 1, 512)), model="embedded")
    prompts = (replace(PROMPTS[0], examples=(example,)), PROMPTS[1])
    script = results.as_python(replace(fancy.recipe, prompts=prompts), "a.tif")
    compile(script, "script", "exec")
    background = [line for line in script.splitlines() if "templates" not in line]
    assert max(len(line) for line in background) <= 88


def test_numbers_of_numpy_are_written_plainly(plain):
    limits = (np.float64(0.5), np.float64(9.25))
    recipe = replace(plain.recipe, appearance=Appearance(limits=limits))
    assert "limits=(0.5, 9.25)" in results.as_python(recipe)
    assert "--limits 0.5 9.25" in results.as_command(recipe)


# --- as a command


def run_command(line, monkeypatch, folder):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as end:
        app.main()
    assert not end.value.code


posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows quotes otherwise")


@posix
def test_a_script_names_the_architecture_of_a_weights_file(plain):
    recipe = replace(plain.recipe, model="/a/b.pt", architecture="ViT-B-16")
    script = results.as_python(recipe)
    assert "'/a/b.pt', precision='float32', architecture='ViT-B-16')" in script


def test_the_command_gives_the_same_labels(model, image, monkeypatch, tmp_path):
    score = replace(
        model.card.score,
        background=("sky", "-dark 'thing'"),
        background_weight=0.8,
        smoothing=1.5,
        templates=("a {}", "the {} of it"),
    )
    gem = replace(
        model.card.encode.gem,
        depth=5,
        iterations=2,
        temperature_scale=2.0,
        residual=True,
    )
    recipe = make(
        model,
        image,
        prompts=[
            Prompt(("nuclei", "it's"), threshold=0.4),
            Prompt(("filaments",), threshold=0.4),
        ],
        appearance=Appearance(limits=(3.5, 700.0), gamma=1.1),
        encode=replace(model.card.encode, zoom=1.7, gem=gem),
        region=Region((3, 85), (0, 91)),
        score=score,
        label=LabelParameters(5),
    )
    assert not needs_file(recipe.recipe)
    line = results.as_command(recipe.recipe, image, output="out put")
    assert line.startswith("napari-gem segment '")
    run_command(line, monkeypatch, tmp_path)
    assert results.read_recipe(tmp_path / "out put") == replace(
        recipe.recipe, prompts=results.read_recipe(tmp_path / "out put").prompts
    )
    np.testing.assert_array_equal(labels_of(tmp_path / "out put"), recipe.labels)


@posix
def test_the_usual_is_left_out_of_the_command(plain):
    line = results.as_command(plain.recipe, "a b.tif")
    limits = " ".join(map(str, plain.recipe.appearance.limits))
    assert line == (
        "napari-gem segment 'a b.tif' -p 'nuclei, nucleus' -p filaments -m embedded "
        f"--precision float32 --domain fluorescence --limits {limits} -o segmentation"
    )


@posix
def test_what_options_cannot_say_is_replayed(fancy, image, monkeypatch, tmp_path):
    line = results.as_command(fancy.recipe, image)
    assert (
        line
        == f"napari-gem replay recipe.json {shlex.quote(str(image))} -o segmentation"
    )
    results.write_recipe(fancy.recipe, tmp_path / "recipe.json")
    run_command(line, monkeypatch, tmp_path)
    np.testing.assert_array_equal(labels_of(tmp_path / "segmentation"), fancy.labels)


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": (Prompt(("a",), label=2),)},
        {"prompts": (Prompt(("a",), title="b"),)},
        {"prompts": (Prompt(("a", "A")),)},
        {"prompts": (Prompt(("a",)), Prompt(("b",), threshold=0.6))},
        {"prompts": (Prompt(("a",), examples=(Example((1, 2)),)),)},
        {"appearance": Appearance(channels=(Appearance(),))},
        {"region": Region((0, 1), (0, 1), ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0)))},
        {"model": "/no/such/file.safetensors"},
    ],
)
def test_each_thing_that_options_cannot_say_is_seen(plain, change):
    recipe = replace(plain.recipe, **change)
    assert needs_file(recipe)
    assert not needs_file(plain.recipe)
    assert " replay recipe.json " in results.as_command(recipe)


@posix
def test_a_word_with_a_comma_is_said_in_quotation_marks(plain):
    score = replace(plain.recipe.score, background=("sky, clouds", "sea"))
    prompts = (Prompt(("red, white and blue", "flag")),)
    line = results.as_command(replace(plain.recipe, prompts=prompts, score=score))
    words = shlex.split(line)
    (lines,) = [words[i + 1] for i, w in enumerate(words) if w == "-p"]
    assert parse_prompts(lines)[0].words == prompts[0].words
    given = [words[i + 1] for i, w in enumerate(words) if w == "--background"]
    assert read_words("\n".join(given)) == score.background


def test_each_parameter_is_said_in_an_option(plain):
    changes = {"scale": 50.0, "near": 0.5, "presence": "image", "image_weight": -0.3}
    score = replace(plain.recipe.score, **changes)
    encode = with_values(plain.recipe.encode, {"repair": 3.0, "tile": 14})
    line = results.as_command(replace(plain.recipe, score=score, encode=encode))
    assert " --repair 3.0 --tile 14 --scale 50.0 " in line
    assert " --near 0.5 --presence image --image-weight -0.3 " in line


def test_what_the_model_fixes_and_the_recipe_leaves_open_is_seen(plain, monkeypatch):
    card = find_model("embedded")
    fixed = with_values(card.encode, {"inverse_temperature": 3.0})
    module = sys.modules["napari_gem.results.as_command"]  # the package's is a function
    monkeypatch.setattr(module, "find_model", lambda _: replace(card, encode=fixed))
    assert needs_file(plain.recipe)


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (((0.5, 0.5), "µm"), ((0.25, 0.25), "µm"), 2),
        (((0.5, 0.5), "um"), ((2000, 2000), "nm"), 0.25),
        (((0.5, 0.5), "µm"), ((0.5, 0.502), "µm"), 1),
        (((0.4, 0.9), "m"), ((0.2, 0.45), "m"), 2),
        ((None, ""), ((2, 2), "µm"), 1),
        (((0.5, 0.5), "µm"), (None, ""), 1),
        (((0.5, 0.5), "µm"), ((3, 3), "furlong"), 1),
        (((0.5, 0.5), "µm"), ((0.353, 0.353), "mm"), 1),  # 72 dpi of a screen
        (((0.5, 0.5), "µm"), ((0, 0), "µm"), 1),
    ],
)
def test_how_much_larger_a_recipes_pixels_were(plain, then, now, expected):
    size, unit = then
    recipe = replace(plain.recipe, pixel_size=size, unit=unit)
    assert results.enlargement(recipe, *now) == pytest.approx(expected)


HOSTILE = [
    "$(touch mark)",
    "`touch mark`",
    "'; touch mark; '",
    '" & touch mark & "',
    "a\\'; touch mark #",
    "$HOME %PATH% !x!",
    "--help",
    "-x",
    "*",
    "~",
    "核 נוקלאוס",
]


@pytest.mark.contact("foreign text")
@posix
def test_no_word_of_a_command_is_run_by_a_shell(plain, tmp_path):
    prompts = tuple(Prompt((word,)) for word in HOSTILE)
    score = replace(plain.recipe.score, background=tuple(HOSTILE))
    recipe = replace(plain.recipe, prompts=prompts, score=score)
    path = "-a\x1b[2J\u202e\n\udcff'$(touch mark).tif"
    line = results.as_command(recipe, path, output="-out`touch mark`")
    assert not any(map(is_command, line))
    shell = f"napari-gem() {{ printf '%s\\0' \"$@\"; }}; {line}"
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, cwd=tmp_path, env=environment
    )
    words = [os.fsdecode(word) for word in done.stdout.split(b"\0")]
    assert words[:2] == ["segment", f"./{path}"]
    assert [words[i + 1] for i, w in enumerate(words) if w == "-p"] == [
        write_words([word]) for word in HOSTILE
    ]
    assert read_words(write_words(HOSTILE)) == tuple(HOSTILE)
    assert words[-3:-1] == ["-o", "./-out`touch mark`"]
    assert not list(tmp_path.iterdir())


@pytest.mark.contact("foreign text")
@pytest.mark.parametrize("word", HOSTILE)
def test_no_shell_of_windows_runs_a_word(plain, word, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    line = results.as_command(
        replace(plain.recipe, prompts=(Prompt((word,)),)), "a & calc.tif"
    )
    if set(write_words([word])) & set('"$%`!'):
        assert line == 'napari-gem replay recipe.json "a & calc.tif" -o segmentation'
    else:
        quoted = word if word in ("--help", "-x") else f'"{word}"'
        assert f' "a & calc.tif" -p {quoted} -m ' in line
    hostile = results.as_command(plain.recipe, "$(calc).tif", output="%PATH%")
    assert "calc" not in hostile and "PATH" not in hostile


@pytest.mark.contact("foreign text")
def test_a_script_runs_nothing_of_its_recipe(plain):
    evil = "1\nimport os; os.abort()\n\u202e"
    recipe = replace(
        plain.recipe,
        version=evil,
        revision=evil,
        model=f"'{evil}",
        architecture=evil,
        precision=evil,
        prompts=tuple(Prompt((word,), title=f"\\{word}") for word in HOSTILE),
    )
    for each in (recipe, replace(recipe, squash=448)):
        script = results.as_python(each, f'a"{evil}.tif', output=f"{evil}'")
        tree = ast.parse(script)
        assert not [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            and [n.name for n in node.names] != ["napari_gem"]
        ]
        assert not any(map(is_command, script.replace("\n", "")))
    calls = list(ast.walk(ast.parse(results.as_python(recipe))))
    names = [
        ast.literal_eval(keyword.value)
        for node in calls
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Prompt"
        for keyword in node.keywords
        if keyword.arg == "words"
    ]
    assert names == [(word,) for word in HOSTILE]


@pytest.mark.contact("foreign text")
@pytest.mark.parametrize("text", ["\x1b[2J", "a\x00b", "\u202eelcun", "\u2066a\u2069"])
@pytest.mark.parametrize("field", ["words", "title", "background", "templates"])
def test_a_recipe_whose_words_command_something_is_refused(
    plain, field, text, tmp_path
):
    recipe = plain.recipe
    if field in ("words", "title"):
        given = (text,) if field == "words" else text
        prompt = replace(recipe.prompts[0], **{field: given})
        recipe = replace(recipe, prompts=(prompt,))
    else:
        score = replace(recipe.score, **{field: (text + "{}",)})
        recipe = replace(recipe, score=score)
    path = results.write_recipe(recipe, tmp_path / "recipe.json")
    with pytest.raises(GemError, match="cannot be seen") as refused:
        results.read_recipe(path)
    assert not any(map(is_command, str(refused.value)))

"""Train the embedded model from scratch on drawn scenes and their captions.

The loss sees whole crops and captions only; where things are is never a target.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import multiprocessing
import sys
import time
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.random import Generator
from PIL import Image
from torch import Tensor, nn

from napari_gem.backbones.open_clip_import import import_open_clip
from training.captions import (
    ALL_CLASSES,
    CAPTION_DOMAINS,
    Caption,
    all_texts,
    concepts,
    make_caption,
    write_words,
)
from training.pictures import PictureStore, expose
from training.scenes import CLASSES, COLOURS, DOMAINS, draw_scene

SCENES = 44_000
STEPS = 4_400
ONE_DOMAIN = 0.78
BATCH_SHARES = (0.4, 0.28, 0.17, 0.15)
"""Of batches of one domain, in the order of `CAPTION_DOMAINS`."""
DOMAINS_OF_MIXED = ("aerial", "aerial", "fluorescence", "histology", "blood smear")
REAL_SHARES = {
    "aerial": 0.22,
    "fluorescence": 0.35,
    "histology": 0.4,
    "blood smear": 1.0,
}
"""Of the crops of a domain, those of real pictures."""
TISSUE_IN_SMEARS = 0.2
GREY_DRAWN = 0.15
# After the last step GEM's maps of nuclei are inverted; at 4 of 11 of the steps they
# are right, but outlines are poor. The mean of both weights has neither fault.
AVERAGED_SHARE = 4 / 11
BATCH = 128
LEARNING_RATE = 1e-3
WARM_UP = 100
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MODEL = {
    "embed_dim": 128,
    "vision_cfg": {
        "image_size": 64,
        "layers": 8,
        "width": 128,
        "head_width": 32,
        "patch_size": 8,
        "mlp_ratio": 2.0,
    },
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 49408,
        "width": 96,
        "heads": 3,
        "layers": 3,
    },
}
_COLOUR_NAMES = ("", *COLOURS)


# Data ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A square crop and what is known of it.

    Attributes
    ----------
    image : numpy.ndarray
        ``(side, side, 3)``, uint8.
    labels : numpy.ndarray
        ``(side, side)``, uint8: numbers in `ALL_CLASSES`, or `UNLABELLED`.
    possible : set of str
        Classes that it may show as well.
    colours : dict
        Class name to colour word.
    """

    image: np.ndarray
    labels: np.ndarray
    possible: set[str] = field(default_factory=set)
    colours: dict[str, str] = field(default_factory=dict)


class SceneStore:
    """Where crops come from: drawn scenes, kept in files, and real pictures.

    Parameters
    ----------
    folder : pathlib.Path
        Where the files are or will be.
    seed : int
        Seed of the scenes.
    count : int
        Number of scenes.
    pictures : pathlib.Path, optional
        Folder of the real pictures; without it, all crops are of drawn scenes.
    """

    def __init__(
        self, folder: Path, seed: int, count: int, pictures: Path | None = None
    ) -> None:
        self.pictures = PictureStore(pictures) if pictures else None
        folder.mkdir(parents=True, exist_ok=True)
        shapes = {
            "images": (count, 128, 128, 3),
            "labels": (count, 128, 128),
            "colours": (count, len(CLASSES)),
            "domains": (count,),
        }
        done = folder / f"drawn-{seed}-{count}"
        mode = "r+" if done.exists() else "w+"
        arrays = {
            name: np.lib.format.open_memmap(
                folder / f"{name}.npy",
                mode,
                **({} if done.exists() else {"dtype": np.uint8, "shape": shape}),
            )
            for name, shape in shapes.items()
        }
        if not done.exists():
            chunks = [range(n, min(n + 500, count)) for n in range(0, count, 500)]
            draw = partial(_draw_chunk, folder, seed)
            with multiprocessing.get_context("spawn").Pool() as pool:
                for _ in pool.imap_unordered(draw, chunks):
                    pass
            done.touch()
        self.images, self.labels = arrays["images"], arrays["labels"]
        self.colours, self.domains = arrays["colours"], arrays["domains"]
        self.of_domain = [
            np.flatnonzero(self.domains == number) for number in range(len(DOMAINS))
        ]

    def batch(
        self, rng: Generator, size: int
    ) -> tuple[Tensor, list[Caption], np.ndarray, np.ndarray]:
        """Draw a batch of crops with a caption each.

        Parameters
        ----------
        rng : numpy.random.Generator
            Draws everything.
        size : int
            Height and width that the crops are resized to.

        Returns
        -------
        tuple
            Crops ``(BATCH, 3, size, size)``, uint8; captions; for each crop the bits
            of the concepts that it has, and of those that it may have, int64.
        """
        one = rng.random() < ONE_DOMAIN  # the hard negatives
        batch_domain = str(rng.choice(CAPTION_DOMAINS, p=BATCH_SHARES))
        crops, captions, sure, maybe = [], [], [], []
        for _ in range(BATCH):
            domain = batch_domain if one else str(rng.choice(DOMAINS_OF_MIXED))
            if domain == "blood smear" and rng.random() < TISSUE_IN_SMEARS:
                domain = "histology"
            cut = self._cut(rng, domain)
            has, may = concepts(cut.labels, domain, cut.possible)
            present = [name for bit, name in enumerate(ALL_CLASSES) if has >> bit & 1]
            captions.append(make_caption(rng, present, domain, cut.colours))
            sure.append(has)
            maybe.append(may)
            crop = Image.fromarray(cut.image)
            shrunk = len(cut.image) > size
            resampling = Image.Resampling.BOX if shrunk else Image.Resampling.BICUBIC
            crops.append(np.asarray(crop.resize((size, size), resampling)))
        images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
        return images, captions, np.array(sure), np.array(maybe)

    def _cut(self, rng: Generator, domain: str) -> Cut:
        """Cut a square of a drawn scene or of a real picture."""
        picture = None
        if rng.random() < REAL_SHARES[domain] and self.pictures is not None:
            picture = self.pictures.draw(rng, domain)
        if picture is not None:
            part = picture.draw_part(rng)
            image = expose(rng, picture.image[part], picture)
            possible = picture.classes_possible(part)
            return Cut(image, picture.labels[part], possible)
        number = int(rng.choice(self.of_domain[DOMAINS.index(domain)]))
        side = round(math.exp(rng.uniform(math.log(24), math.log(128))))
        y, x = rng.integers(0, 129 - side, 2)
        place = (number, slice(y, y + side), slice(x, x + side))
        image = self.images[place]
        if domain == "fluorescence" and rng.random() < GREY_DRAWN:
            grey = image.max(axis=2, keepdims=True)
            return Cut(np.repeat(grey, 3, axis=2), self.labels[place])
        colours = {
            name: _COLOUR_NAMES[colour]
            for name, colour in zip(CLASSES, self.colours[number], strict=True)
            if colour
        }
        return Cut(image, self.labels[place], colours=colours)


def _draw_chunk(folder: Path, seed: int, numbers: range) -> None:
    stored = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r+")
        for name in ("images", "labels", "colours", "domains")
    }
    for number in numbers:
        scene = draw_scene("train", number, seed=seed)
        stored["images"][number] = scene.image
        stored["labels"][number] = scene.labels
        stored["domains"][number] = DOMAINS.index(scene.domain)
        for name, colour in scene.colours.items():
            kind = _COLOUR_NAMES.index(colour)
            stored["colours"][number, CLASSES.index(name)] = kind


def augment(rng: Generator, images: Tensor) -> Tensor:
    """Vary exposure, contrast, colour and noise, flip and turn.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws the variation.
    images : torch.Tensor
        ``(batch, 3, size, size)``, uint8.

    Returns
    -------
    torch.Tensor
        Same shape, float32, normalised for the model.
    """
    count = len(images)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        values = rng.uniform(low, high, (count, channels, 1, 1))
        return torch.from_numpy(values).float()

    x = images.float() / 255
    if rng.random() < 0.5:
        x = x.flip(-1)
    x = torch.rot90(x, int(rng.integers(4)), (-2, -1))
    x = x.clamp_min(1e-4) ** torch.exp(draw(-0.45, 0.45))
    centre = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - centre) * draw(0.6, 1.3) + centre * draw(0.8, 1.2)
    x = x * draw(0.93, 1.07, 3)
    grey = torch.from_numpy(rng.random((count, 1, 1, 1)) < 0.06)
    x = torch.where(grey, x.mean(dim=1, keepdim=True), x)
    noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
    x = (x + noise * draw(0, 0.04)).clamp(0, 1)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (MEAN, STD))
    return (x - mean) / std


class Vocabulary:
    """The few rows of CLIP's token table that the captions need.

    Number 0 is every token never trained: its row stays zero.
    """

    def __init__(self) -> None:
        self._tokenizer = import_open_clip().SimpleTokenizer()
        self.encode = cache(self._tokenizer.encode)
        ids = {token for text in all_texts() for token in self._tokenizer.encode(text)}
        ids |= {self._tokenizer.sot_token_id, self._tokenizer.eot_token_id}
        self.ids = [0, *sorted(ids)]
        self._number = {token: number for number, token in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def tokens(self, texts: list[str], rng: Generator | None = None) -> Tensor:
        """Return row numbers ``(texts, length)``; with `rng`, 8 % with a stranger."""
        rows = []
        for text in texts:
            row = [
                self._number.get(token, 0)
                for word in text.split()
                for token in self.encode(word)
            ]
            if rng is not None and rng.random() < 0.08:
                row.insert(int(rng.integers(len(row) + 1)), 0)
            rows.append([len(self) - 2, *row[:30], len(self) - 1])
        length = -(-max(map(len, rows)) // 4) * 4  # few shapes: kernels are reused
        return torch.tensor([row + [0] * (length - len(row)) for row in rows])


# Model -----------------------------------------------------------------------------


def build_model(vocabulary: Vocabulary) -> nn.Module:
    """Return open_clip's CLIP with as many token rows as the vocabulary needs."""
    text = {**MODEL["text_cfg"], "vocab_size": len(vocabulary)}
    model = import_open_clip().model.CLIP(**{**MODEL, "text_cfg": text})
    with torch.no_grad():
        model.token_embedding.weight[0] = 0
    model.token_embedding.padding_idx = 0  # keeps that row's gradient zero
    return model


def run_blocks(blocks: nn.ModuleList, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Run open_clip's transformer blocks with attention written out.

    On a CPU the backward pass of PyTorch's fused attention is several times slower.

    Parameters
    ----------
    blocks : torch.nn.ModuleList
        Residual attention blocks.
    x : torch.Tensor
        ``(batch, tokens, width)``.
    mask : torch.Tensor, optional
        Added to the attention scores: ``(tokens, tokens)``.

    Returns
    -------
    torch.Tensor
        ``(batch, tokens, width)``.
    """
    batch, count, width = x.shape
    for block in blocks:
        attention = block.attn
        heads, size = attention.num_heads, attention.head_dim
        qkv = F.linear(
            block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias
        ).view(batch, count, 3, heads, size)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * size**-0.5) @ k.transpose(-2, -1)
        if mask is not None:
            scores = scores + mask
        mixed = (scores.softmax(dim=-1).to(v.dtype) @ v).transpose(1, 2)
        x = x + attention.out_proj(mixed.reshape(batch, count, width))
        x = x + block.mlp(block.ln_2(x))
    return x


def embed_images(
    visual: nn.Module, images: Tensor, keep: Tensor | None = None
) -> Tensor:
    """Embed images of any size that the patch divides.

    Parameters
    ----------
    visual : torch.nn.Module
        open_clip's vision transformer.
    images : torch.Tensor
        ``(batch, 3, size, size)``, normalised.
    keep : torch.Tensor, optional
        ``(batch, kept)``: numbers of the patches to use; all by default.

    Returns
    -------
    torch.Tensor
        ``(batch, embed_dim)``, unit length.
    """
    patches = visual.conv1(images)
    grid = patches.shape[-1]
    position = visual.positional_embedding
    if grid != visual.grid_size[0]:
        square = position[1:].T.reshape(1, -1, *visual.grid_size)
        square = F.interpolate(square, (grid, grid), mode="bicubic", antialias=True)
        position = torch.cat([position[:1], square.flatten(2)[0].T])
    x = patches.flatten(2).transpose(1, 2) + position[1:]
    if keep is not None:
        x = x.gather(1, keep[..., None].expand(-1, -1, x.shape[-1]))
    first = (visual.class_embedding + position[0]).expand(len(x), 1, -1)
    x = visual.ln_pre(torch.cat([first.to(x.dtype), x], dim=1))
    x = run_blocks(visual.transformer.resblocks, x)
    return F.normalize(visual.ln_post(x[:, 0]) @ visual.proj, dim=-1)


def embed_texts(model: nn.Module, tokens: Tensor) -> Tensor:
    """Embed token rows ``(batch, length)``: ``(batch, embed_dim)``, unit length."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    mask = model.attn_mask[:length, :length]
    x = model.ln_final(run_blocks(model.transformer.resblocks, x, mask))
    last = x[torch.arange(len(x)), tokens.argmax(dim=1)]
    return F.normalize(last @ model.text_projection, dim=-1)


# Loss ------------------------------------------------------------------------------


def relations(
    captions: list[Caption], sure: np.ndarray, maybe: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Tell which captions are true of which crops.

    Parameters
    ----------
    captions : list of Caption
        One for each crop.
    sure, maybe : numpy.ndarray
        ``(crops,)``: bits of the concepts that a crop has, or may have.

    Returns
    -------
    tuple of torch.Tensor
        ``(crops, captions)``, bool: true, and false; where neither holds, unknown.
    """
    claims = np.array([caption.claims for caption in captions])
    checkable = np.array([caption.checkable for caption in captions])
    true = (sure[:, None] & claims) == claims
    possible = (maybe[:, None] & claims) == claims
    true &= checkable | np.eye(len(claims), dtype=bool)
    return torch.from_numpy(true), torch.from_numpy(~possible)


def contrastive_loss(logits: Tensor, true: Tensor, false: Tensor) -> Tensor:
    """Hold every true pair against all false pairs of its row and of its column.

    Parameters
    ----------
    logits : torch.Tensor
        ``(crops, captions)``.
    true, false : torch.Tensor
        Same shape, bool; pairs that are neither do not count.

    Returns
    -------
    torch.Tensor
        The loss, a scalar.
    """
    losses = []
    for scores, yes, no in ((logits, true, false), (logits.T, true.T, false.T)):
        against = scores.masked_fill(~no, -1e4).logsumexp(dim=1, keepdim=True)
        each = F.softplus(against - scores) * yes
        losses.append((each.sum(dim=1) / yes.sum(dim=1)).mean())
    return sum(losses) / 2


# Training --------------------------------------------------------------------------


def keep_memory() -> None:
    """Tell glibc to keep freed memory: page faults cost half the time otherwise."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_max, top_pad = -1, -4, -2
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 64 * 2**20)


def learning_rate(step: int, steps: int) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to zero."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * done))


def train(
    out: Path, seed: int, steps: int, scenes: int, pictures: Path | None = None
) -> None:
    """Train a model and export it to ``out / "export"``.

    Parameters
    ----------
    out : pathlib.Path
        Folder of the scenes, the log, the checkpoint and the exported model; a run
        that was stopped goes on from its checkpoint.
    seed : int
        Seed of the scenes, the weights and the batches.
    steps : int
        Number of batches.
    scenes : int
        Number of scenes to draw crops from.
    pictures : pathlib.Path, optional
        Folder of real pictures, as `training.pictures.PictureStore` reads it.
    """
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    store = SceneStore(out / "scenes", seed, scenes, pictures)
    torch.manual_seed(seed)
    vocabulary = Vocabulary()
    model = build_model(vocabulary).to(device)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others}],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    checkpoint = out / "checkpoint.pt"
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]

    early_step = round(AVERAGED_SHARE * steps)
    started, mean_loss = time.monotonic(), 0.0
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps)
        loss = train_step(model, store, vocabulary, seed, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(100))
        mean_loss += loss.item()
        if (step + 1) % 50 == 0:
            rate = (step + 1 - first) * BATCH / (time.monotonic() - started)
            print(f"{step + 1} {mean_loss / 50:.4f} {rate:.0f}/s", flush=True)
            mean_loss = 0.0
        if (step + 1) % 200 == 0 or step + 1 == steps:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
            export(model.state_dict(), vocabulary, out / "export")
        if step + 1 == early_step:
            torch.save(model.state_dict(), out / "early.pt")
    early = torch.load(out / "early.pt", weights_only=True)
    late = torch.load(checkpoint, weights_only=True)["model"]
    mean = {name: (early[name] + late[name]) / 2 for name in late}
    export(mean, vocabulary, out / "export")


def fast_bfloat16(device: torch.device) -> bool:
    """Tell whether half precision is faster there; a CPU without it is far slower."""
    return device.type != "cpu" or torch.cpu._is_amx_tile_supported()


def train_step(
    model: nn.Module,
    store: SceneStore,
    vocabulary: Vocabulary,
    seed: int,
    step: int,
) -> Tensor:
    """Return the loss of one batch, which the seed and the step alone determine."""
    rng = np.random.default_rng([seed, step])
    device = model.logit_scale.device
    # Larger grids too, so that the model takes images of other sizes later on.
    large = rng.random() < 0.2
    images, captions, sure, maybe = store.batch(rng, 96 if large else 64)
    images = augment(rng, images).to(device)
    keep = None
    if large:
        order = rng.random((BATCH, 144)).argsort(axis=1)[:, :64]
        keep = torch.from_numpy(order).to(device)
    tokens = vocabulary.tokens([caption.text for caption in captions], rng)
    with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
        seen = embed_images(model.visual, images, keep)
        read = embed_texts(model, tokens.to(device))
    logits = model.logit_scale.exp() * seen.float() @ read.float().T
    true, false = relations(captions, sure, maybe)
    return contrastive_loss(logits, true.to(device), false.to(device))


def export(weights: dict[str, Tensor], vocabulary: Vocabulary, folder: Path) -> None:
    """Write a folder that open_clip loads as ``local-dir:<folder>``.

    Parameters
    ----------
    weights : dict
        State of the trained model.
    vocabulary : Vocabulary
        Its token rows; all other rows of the full table are zero.
    folder : pathlib.Path
        Receives `open_clip_config.json` and `open_clip_model.safetensors`.
    """
    from safetensors.torch import save_file

    state = {name: value.half().cpu() for name, value in weights.items()}
    rows = state["token_embedding.weight"]
    table = torch.zeros(MODEL["text_cfg"]["vocab_size"], rows.shape[1]).half()
    table[vocabulary.ids[1:]] = rows[1:]
    state["token_embedding.weight"] = table
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: value.contiguous() for name, value in state.items()},
        folder / "open_clip_model.safetensors",
    )
    config = {
        "model_cfg": MODEL,
        "preprocess_cfg": {
            "mean": MEAN,
            "std": STD,
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "open_clip_config.json").write_text(text)
    write_words(folder)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--pictures", type=Path, help="folder of real pictures")
    arguments = parser.parse_args()
    train(
        arguments.out,
        arguments.seed,
        arguments.steps,
        arguments.scenes,
        arguments.pictures,
    )


if __name__ == "__main__":
    main()

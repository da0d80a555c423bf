"""timm's vision transformer: BiomedCLIP, QuiltNet-PMB, SigLIP, SigLIP 2, MobileCLIP-B.

With a CLS token, with the mean of all patches, or with a MAP pooling head and no CLS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_gem.backbones.open_clip_import import import_open_clip
from napari_gem.backbones.parts import refuse
from napari_gem.backbones.timm_tower import TimmBlock, TimmTower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_gem.backbones import Rgb
    from napari_gem.gem.block import Block

# names of other classes, and of other kinds of blocks, are left out
READS = {
    "timm_model_name": (
        r"vit_(?!s?relpos|pe_|.*(rope|parallel|rpn|resnet|_r\d+_|diff)).*"
    ),
    "timm_pool": "(token|avg|map)?",
}


class TimmVit(TimmTower):
    """A CLIP model whose image tower is timm's VisionTransformer.

    Norms of q and k (``qk_norm``), if a model has them, come before self-self
    attention: they are part of what its queries and keys are.
    """

    def __init__(self, clip: Any, tokenizer: Any, mean: Rgb, std: Rgb) -> None:
        super().__init__(clip, tokenizer, mean, std)
        from timm.layers import Attention
        from timm.models.vision_transformer import Block as Known

        blocks = clip.visual.trunk.blocks
        refuse(
            {
                "has blocks of another kind": any(
                    type(block) is not Known or not isinstance(block.attn, Attention)
                    for block in blocks
                )
            }
        )
        self._adapted = [TimmBlock(block) for block in blocks]

    @staticmethod
    def accepts(clip: Any) -> bool:
        """Whether the image tower is timm's vision transformer."""
        import_open_clip()  # timm imports torchvision, which may need its help
        from timm.models.vision_transformer import VisionTransformer

        trunk = getattr(getattr(clip, "visual", None), "trunk", None)
        return isinstance(trunk, VisionTransformer)

    def _blocks(self, rows: int, columns: int) -> Sequence[Block]:  # noqa: ARG002
        return self._adapted


FAMILY = TimmVit

"""
HySparK pre-training in plain PyTorch, to compare the engine with: dense maps, each multiplied by the mask. What is computed is described in
the golden data's README, "What is computed"; state-dict keys are the reference's, with its spelling. Runs from PyTorch 1.13 on.

Volumes are [batch, channels, x, y, z], tokens [batch, tokens, channels]; "voxels visible" is 1 or 0 in [batch, 1, x, y, z].
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PATCH = 16  # voxels on a side


class Config(NamedTuple):
    """Numbers of src/models/hyspark/config.ts, which has the presets."""

    crop: int
    channels: Sequence[int]
    blocks: Sequence[int]
    expansion: Sequence[int]
    vit_depth: int
    heads: int
    width: int


def conv3(inner: int, outer: int, groups: int = 1) -> nn.Conv3d:
    return nn.Conv3d(inner, outer, 3, padding=1, groups=groups)


def layout_of(x: Tensor) -> torch.memory_format:
    last = x.is_contiguous(memory_format=torch.channels_last_3d)
    return torch.channels_last_3d if last else torch.contiguous_format


class Block(nn.Module):
    """MedNeXt: depthwise 3³, layer norm over channels, 1³ to `expansion` times the channels, GELU, 1³ back, residual."""

    def __init__(self, channels: int, expansion: int):
        super().__init__()
        self.conv1 = conv3(channels, channels, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.conv2 = nn.Conv3d(channels, expansion * channels, 1)
        self.conv3 = nn.Conv3d(expansion * channels, channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.conv1(x) * mask
        y = self.norm(y.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        # the norm's result lies channels last: back to how maps lie here. Of hidden voxels, all zero, it is the bias: masked again
        y = y.contiguous(memory_format=layout_of(x)) * mask
        y = self.conv2(y) * mask
        return x + self.conv3(F.gelu(y)) * mask


class Embeddings(nn.Module):
    """The encoder's five convolutional stages."""

    def __init__(self, config: Config):
        super().__init__()
        channels = config.channels
        self.stem = conv3(1, channels[0])
        for s in range(5):
            blocks = (Block(channels[s], config.expansion[s]) for _ in range(config.blocks[s]))
            setattr(self, f'layer{s + 1}', nn.ModuleList(blocks))
        for s in range(1, 5):
            setattr(self, f'expend{s}', conv3(channels[s - 1], channels[s]))

    def forward(self, volume: Tensor, masks: List[Tensor], seen: Seen) -> List[Tensor]:
        """@return x1 … x5, at the crop's size, half of it … a sixteenth"""
        y = self.stem(volume * masks[0]) * masks[0]
        note(seen, 'stem', y)
        features: List[Tensor] = []
        for s in range(1, 6):
            for block in getattr(self, f'layer{s}'):
                y = block(y, masks[s - 1])
            note(seen, f'layer{s}', y)
            feature = getattr(self, f'expend{s}')(y) * masks[s - 1] if s < 5 else y
            note(seen, f'x{s}', feature)
            features.append(feature)
            if s < 5:
                y = F.max_pool3d(feature, 2) * masks[s]
        return features


class Attention(nn.Module):
    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, channels = x.shape
        size = channels // self.heads
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * size**-0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(x.shape))


class Mlp(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, 4 * channels)
        self.fc2 = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class VitBlock(nn.Module):
    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, eps=1e-5)
        self.attn = Attention(channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=1e-5)
        self.mlp = Mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def positions(cells: int, channels: int) -> Tensor:
    """Sines and cosines of each axis, [1, cells³, channels], in float32; tokens with z fastest."""
    quarter = channels // 6
    rates = 10000 ** (-torch.arange(quarter) / quarter)
    angles = torch.arange(cells)[:, None] * rates  # [cells, channels / 6]
    axis = torch.cat([angles.sin(), angles.cos()], 1)
    grid = torch.meshgrid(*[torch.arange(cells)] * 3, indexing='ij')
    return torch.cat([axis[place.flatten()] for place in grid], 1)[None]


class Mae(nn.Module):
    """The transformer on the visible tokens, with a mask token put in the others' places."""

    def __init__(self, config: Config):
        super().__init__()
        channels = config.channels[4]
        self.pos_embed = nn.Parameter(positions(config.crop // PATCH, channels), requires_grad=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.blocks = nn.ModuleList(VitBlock(channels, config.heads) for _ in range(config.vit_depth))
        self.norm = nn.LayerNorm(channels, eps=1e-5)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2) + self.pos_embed
        index = visible[:, :, None].expand(-1, -1, tokens.shape[2])
        y = tokens.gather(1, index)
        for block in self.blocks:
            y = block(y)
        whole = self.mask_token.expand_as(tokens).scatter(1, index, self.norm(y))
        return whole.transpose(1, 2).reshape(x.shape)


class Encoder(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.embeddings = Embeddings(config)
        self.mae = Mae(config)


class ConvPair(nn.Module):
    """Twice: 3³ convolution, batch norm, ReLU."""

    def __init__(self, inner: int, outer: int):
        super().__init__()
        layers: List[nn.Module] = []
        for channels in (inner, outer):
            layers += [conv3(channels, outer), nn.BatchNorm3d(outer), nn.ReLU(inplace=True)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Up(ConvPair):
    """Twice the size, half the channels."""

    def __init__(self, width: int):
        super().__init__(width, width // 2)
        self.up_sample = nn.ConvTranspose3d(width, width, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.up_sample(x))


class Decoder(nn.Module):
    def __init__(self, width: int, unused: bool):
        super().__init__()
        self.dec = nn.ModuleList(Up(width >> n) for n in range(4))
        fuse = [ConvPair(2 * width >> n, width >> n) if n > 0 or unused else nn.Identity() for n in range(4)]
        self.fuse = nn.ModuleList(fuse)
        self.proj = nn.Conv3d(width >> 4, 1, 1)

    def forward(self, maps: List[Tensor], seen: Seen) -> Tensor:
        y = maps[0]
        for n in range(4):
            if n > 0:
                y = self.fuse[n](torch.cat([y, maps[n]], 1))
                note(seen, f'fuse{n}', y)
            y = self.dec[n](y)
            note(seen, f'dec{n}', y)
        return self.proj(y)


class HySparK(nn.Module):
    """
    @param unused the reference also has `fuse.0`, which nothing reads, and computes `densify_projs.4`, whose result nothing reads: with them,
        or without
    """

    def __init__(self, config: Config, unused: bool = False):
        super().__init__()
        self.sparse_encoder = Encoder(config)
        self.dense_decoder = Decoder(config.width, unused)
        channels = [config.channels[s] for s in (4, 4, 3, 2, 1)[: 5 if unused else 4]]
        self.densify_projs = nn.ModuleList(
            conv3(c, config.width >> n) if n > 0 else nn.Conv3d(c, config.width, 1) for n, c in enumerate(channels)
        )
        self.mask_tokens = nn.ParameterList(nn.Parameter(torch.zeros(1, c, 1, 1, 1)) for c in channels)

    def forward(self, volume: Tensor, visible: Tensor, seen: Seen = None) -> Tensor:
        """
        @param volume [batch, 1, crop, crop, crop] in 0..1
        @param visible indices of each sample's visible patches, ascending, [batch, visible]
        @param seen where to put activations by name
        @return the loss
        """
        cells = volume.shape[2] // PATCH
        cell = torch.zeros(volume.shape[0], cells**3, device=volume.device).scatter(1, visible, 1)
        mask = cell.view(-1, 1, cells, cells, cells)
        if torch.is_autocast_enabled():
            mask = mask.half()  # a float32 factor would make every masked map float32 again
        masks = [F.interpolate(mask, scale_factor=PATCH >> s) for s in range(5)]
        features = self.sparse_encoder.embeddings(volume, masks, seen)
        features[4] = self.sparse_encoder.mae(features[4], visible)
        note(seen, 'vit', features[4])

        maps: List[Tensor] = []
        for n, (token, project) in enumerate(zip(self.mask_tokens, self.densify_projs)):
            feature, present = features[4 - n], masks[4 - n] > 0
            maps.append(project(torch.where(present, feature, token.to(feature.dtype))))
            note(seen, f'densify{n}', maps[n])
        reconstruction = self.dense_decoder(maps, seen).float()
        note(seen, 'rec', reconstruction)

        voxels = patches(volume)  # [batch, cells³, 16³]
        mean = voxels.mean(-1, keepdim=True)
        deviation = (voxels.var(-1, unbiased=True, keepdim=True) + 1e-6).sqrt()
        predicted = patches(reconstruction)
        if seen is not None:
            filled = torch.where(cell[:, :, None] > 0, voxels, predicted * deviation + mean)
            note(seen, 'vis_rec_or_inp', unpatched(filled, cells))
        error = (predicted - (voxels - mean) / deviation).square().mean(-1)  # of each patch
        hidden = 1 - cell
        return (error * hidden).sum() / (hidden.sum() + 1e-8)


def patches(volume: Tensor) -> Tensor:
    """[batch, 1, x, y, z] → [batch, patches, 16³]"""
    cells = volume.shape[2] // PATCH
    split = volume.reshape(-1, cells, PATCH, cells, PATCH, cells, PATCH)
    return split.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, cells**3, PATCH**3)


def unpatched(voxels: Tensor, cells: int) -> Tensor:
    split = voxels.reshape(-1, cells, cells, cells, PATCH, PATCH, PATCH)
    return split.permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, 1, *[cells * PATCH] * 3)


Seen = Optional[Dict[str, Tensor]]


def note(seen: Seen, name: str, value: Tensor) -> None:
    if seen is not None:
        seen[name] = value.detach().clone()

"""Weights from names: the golden data's README, "Weights from names". All in float32, one rounding an operation."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor, nn

WORD = 0xFFFFFFFF


def fnv1a32(text: str) -> int:
    h = 0x811C9DC5
    for byte in text.encode():
        h = ((h ^ byte) * 0x01000193) & WORD
    return h


def fmix32(x: Tensor) -> Tensor:
    """Words are held in int64; a product's low 32 bits are right though it wraps."""
    x = x ^ (x >> 16)
    x = (x * 0x85EBCA6B) & WORD
    x = x ^ (x >> 13)
    x = (x * 0xC2B2AE35) & WORD
    return x ^ (x >> 16)


def unit(name: str, seed: int, size: int, device: torch.device) -> Tensor:
    """24 bits in [-1, 1), exact in float32."""
    base = int(fmix32(torch.tensor(fnv1a32(name) ^ seed)))
    places = torch.arange(size, device=device)
    words = fmix32((base + places * 0x9E3779B9) & WORD)
    return ((words >> 8) - 2**23).float() * 2.0**-23


def weight(name: str, value: Tensor, seed: int) -> Optional[Tensor]:
    """None for what the formula does not fill."""
    if name.endswith(('pos_embed', 'num_batches_tracked')):
        return None
    u = unit(name, seed, value.numel(), value.device).view(value.shape)
    if 'mask_token' in name:
        return u * 0.5
    if name.endswith('running_mean'):
        return u * 0.1
    if name.endswith('running_var'):
        return u * 0.1 + 1
    if value.dim() >= 2:
        return u * (1 / math.sqrt(math.prod(value.shape[1:])))
    return u * 0.1 + 1 if name.endswith('.weight') else u * 0.1


@torch.no_grad()
def fill(model: nn.Module, seed: int, smooth: bool = False) -> None:
    """@param smooth batch norms moved so that every ReLU input stays above zero"""
    state = model.state_dict()
    for name, value in state.items():
        filled = weight(name, value, seed)
        if filled is None:
            continue
        prefix, _, field = name.rpartition('.')
        if smooth and f'{prefix}.running_mean' in state:
            filled = filled * 0.2 if field == 'weight' else filled + 1.5 if field == 'bias' else filled
        value.copy_(filled)

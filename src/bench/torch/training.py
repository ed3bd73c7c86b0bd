"""A training step as PyTorch takes it: forward, backward, clip, AdamW; in float32, with TF32 products, or in mixed precision."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from hyspark import HySparK

CLIP = 5.0


def use_tf32(on: bool) -> None:
    """Products of matrices and convolutions; PyTorch has it on for convolutions by default."""
    torch.backends.cuda.matmul.allow_tf32 = on
    torch.backends.cudnn.allow_tf32 = on


class Trainer:
    """
    One model and its optimiser; each step says its precision.

    @param compiled runs the model through `torch.compile` (PyTorch 2)
    """

    def __init__(self, model: HySparK, learning_rate: float = 1e-4, weight_decay: float = 0.04, compiled: bool = False):
        self.run = torch.compile(model) if compiled else model
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        on_gpu = self.parameters[0].is_cuda
        fastest = {'fused': True} if on_gpu and int(torch.__version__.split('.')[0]) >= 2 else {}
        self.optimiser = torch.optim.AdamW(self.parameters, learning_rate, weight_decay=weight_decay, **fastest)
        # for half precision's range; without a GPU there is no mixed precision, and it does nothing
        newer = getattr(torch.amp, 'GradScaler', None)  # from 2.3 on, and the older one complains
        self.scaler = newer('cuda', enabled=on_gpu) if newer else torch.cuda.amp.GradScaler(enabled=on_gpu)

    def backward(self, volume: Tensor, visible: Tensor, precision: str) -> Tensor:
        """@return the loss; gradients of the mixed step are scaled"""
        use_tf32(precision == 'tf32')
        mixed = precision == 'mixed'
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast('cuda', torch.float16) if mixed else nullcontext():
            loss = self.run(volume, visible)
        (self.scaler.scale(loss) if mixed else loss).backward()
        return loss.detach()

    def update(self, precision: str) -> Tensor:
        """@return the gradients' norm before clipping"""
        mixed = precision == 'mixed'
        if mixed:
            self.scaler.unscale_(self.optimiser)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        if mixed:
            self.scaler.step(self.optimiser)
            self.scaler.update()
        else:
            self.optimiser.step()
        return norm

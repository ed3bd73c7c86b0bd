"""
Times training steps of the model for cli.ts, which starts it: a request as JSON on standard input, results as JSON on standard output, progress
on standard error. First compares the model with a golden set on the same device, and each precision's loss with float32's.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

import torch
from torch import Tensor

import golden
from hyspark import Config, HySparK
from training import Trainer, use_tf32
from weights import fill

STARTED = time.perf_counter()
WARM_UP = {'cuda': 3, 'cpu': 1}  # steps before the first that counts: in its first, cuDNN tries its algorithms


class Inputs:
    """Crops and masks as a loader hands them over, in the host's memory."""

    def __init__(self, config: Dict[str, Any], batch: int, device: torch.device, layout: torch.memory_format):
        crop, self.visible = config['crop'], config['visible']
        self.device, self.layout = device, layout
        self.cells = (crop // 16) ** 3
        self.volume = self.pinned(torch.rand(batch, 1, crop, crop, crop))

    def pinned(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self.device.type == 'cuda' else tensor

    def mask(self) -> Tensor:
        """Other patches each step, the same number of them: [batch, visible], ascending."""
        random = torch.rand(len(self.volume), self.cells)
        return self.pinned(random.topk(self.visible).indices.sort().values)

    def upload(self, visible: Tensor) -> List[Tensor]:
        volume = self.volume.to(self.device, non_blocking=True)
        return [volume.contiguous(memory_format=self.layout), visible.to(self.device, non_blocking=True)]


class Variant(NamedTuple):
    """A way to take the step. `loss` is its first loss's relative difference to that of plain float32; `memory` MiB at a step's peak."""

    precision: str
    layout: str
    compile: str
    loss: float
    milliseconds: List[float]
    memory: List[float]


def measure(request: Dict[str, Any]) -> Dict[str, Any]:
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    if device.type == 'cpu' and set(request['precisions']) != {'float32'}:
        raise SystemExit('PyTorch finds no GPU: without one there is float32 alone')
    progress('comparing with golden data')
    errors = golden.compare(Path(request['golden']['folder']), request['golden']['set'], device, request['unused'])
    torch.backends.cudnn.benchmark = True
    variants: List[Variant] = []
    for layout in request['layouts']:
        for compiled in request['compile']:
            variants += measure_variants(request, device, layout, compiled)
    return {'place': place(device), 'errors': errors, 'variants': [variant._asdict() for variant in variants]}


def measure_variants(request: Dict[str, Any], device: torch.device, layout: str, compiled: str) -> List[Variant]:
    """All precisions of one layout, in turns: a machine's speed drifts."""
    config, on_gpu = request['config'], device.type == 'cuda'
    torch.manual_seed(0)
    memory_format = torch.channels_last_3d if layout == 'channels_last' else torch.contiguous_format
    keys = ('crop', 'channels', 'blocks', 'expansion', 'vitDepth', 'heads', 'width')
    model = HySparK(Config(*(config[key] for key in keys)), request['unused'])
    model.to(device=device, memory_format=memory_format)
    fill(model, seed=1)
    inputs = Inputs(config, request['batch'], device, memory_format)
    trainer = Trainer(model, compiled=compiled == 'on')

    # from the same weights, on the same inputs: by plain float32, then as it will be timed
    uploaded = inputs.upload(inputs.mask())
    use_tf32(False)
    with torch.no_grad():
        expected = float(model(*uploaded))
    variants: List[Variant] = []
    for precision in request['precisions']:
        progress(f'comparing {precision}, {layout}')
        loss = float(trainer.backward(*uploaded, precision))
        variants.append(Variant(precision, layout, compiled, abs(loss / expected - 1), [], []))

    for step in range(-WARM_UP[device.type], request['repeats']):
        progress('warming up' if step < 0 else f'timing {step + 1} of {request["repeats"]}')
        for variant in variants:
            visible = inputs.mask()
            if on_gpu:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            loss = trainer.backward(*inputs.upload(visible), variant.precision)
            trainer.update(variant.precision)
            value = float(loss)  # waits for the loss's copy, which comes behind the whole step
            milliseconds = 1000 * (time.perf_counter() - start)
            if not value < float('inf'):
                raise SystemExit(f'the loss became {value} in {variant.precision}')
            if step >= 0:
                variant.milliseconds.append(milliseconds)
                if on_gpu:
                    variant.memory.append(torch.cuda.max_memory_allocated() / 2**20)
    return variants


def place(device: torch.device) -> Dict[str, str]:
    on_gpu = device.type == 'cuda'
    if on_gpu:
        libraries = f'CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}'
        name = torch.cuda.get_device_name()
    else:
        libraries = f'no GPU, {torch.get_num_threads()} threads'
        name = f'{platform.machine()} processor'
    return {'device': name, 'class': 'gpu' if on_gpu else 'software', 'host': f'PyTorch {torch.__version__} ({libraries})'}


def progress(doing: str) -> None:
    """One line that changes, or in a file a line for each thing that it does: a first step of cuDNN's choices can take minutes."""
    if sys.stderr.isatty():
        print(f'\r\x1b[KPyTorch: {doing}', end='', file=sys.stderr, flush=True)
    else:
        print(f'PyTorch, {time.perf_counter() - STARTED:.0f} s: {doing}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
    if sys.stderr.isatty():
        print('\r\x1b[K', end='', file=sys.stderr)

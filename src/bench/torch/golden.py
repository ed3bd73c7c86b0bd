"""
Compares the model with a set of golden data: `golden.py DIR SET` prints the largest error of each group as JSON. Whether they are small enough
is for the caller to say (judge.ts), which has the tolerances.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Tuple

import torch
from torch import Tensor

from hyspark import Config, HySparK
from training import Trainer, use_tf32
from weights import fill

DTYPES = {'F32': torch.float32, 'I16': torch.int16, 'U8': torch.uint8}


def read_safetensors(path: Path) -> Dict[str, Tensor]:
    """Eight bytes of the header's length, little-endian; the header as JSON; the tensors' bytes, in C order."""
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack('<Q', data[:8])
    header = json.loads(data[8 : 8 + length])
    tensors: Dict[str, Tensor] = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        start, end = (8 + length + offset for offset in entry['data_offsets'])
        # a slice is a copy, and so aligned
        tensors[name] = torch.frombuffer(data[start:end], dtype=DTYPES[entry['dtype']]).view(entry['shape'])
    return tensors


class Errors:
    """The worst relative error of each group, and where. NaN is the worst of all."""

    def __init__(self) -> None:
        self.groups: Dict[str, Dict[str, Any]] = {}

    def add(self, group: str, at: str, error: float) -> None:
        worst = self.groups.setdefault(group, {'error': -1.0, 'at': '', 'count': 0})
        worst['count'] += 1
        known = worst['error']
        if not (math.isnan(known) or error <= known):
            worst.update(error=error, at=at)


def relative(got: float, expected: float) -> float:
    return abs(got - expected) / (abs(expected) or 1e-30)


def whole_error(got: Tensor, expected: Tensor) -> float:
    """Largest difference / largest magnitude."""
    return float((got.cpu() - expected).abs().max() / (expected.abs().max() or 1e-30))


def add_sampled(errors: Errors, group: str, at: str, got: Tensor, expected: Dict[str, Any], rms: bool) -> None:
    """@param rms differences of the samples as an estimate of the error in L2, instead of the largest"""
    if list(got.shape) != expected['shape']:
        return errors.add(group, at, math.nan)
    values = torch.tensor(expected['value'], dtype=torch.float64)
    flat = got.flatten().double()
    difference = flat[torch.tensor(expected['index'], device=got.device)].cpu() - values
    if rms:
        size = expected['l2'] / math.sqrt(got.numel()) or 1e-30
        errors.add(group, at, float(difference.square().mean().sqrt()) / size)
    else:
        errors.add(group, at, float(difference.abs().max()) / (expected['max_abs'] or 1e-30))
    errors.add(f'{group}: norms', at, relative(float(flat.norm()), expected['l2']))


def add_checksum(errors: Errors, group: str, at: str, got: Tensor, expected: Dict[str, Any]) -> None:
    """Norm, sum and first values, against the tensor's size."""
    flat = got.flatten().double().cpu()
    norm = math.sqrt(expected['sumsq']) or 1e-30
    first = torch.tensor(expected['first4'], dtype=torch.float64)
    errors.add(group, at, relative(float(flat.norm()), norm))
    errors.add(group, at, abs(float(flat.sum()) - expected['sum']) / (math.sqrt(flat.numel()) * norm))
    rms = norm / math.sqrt(flat.numel())
    errors.add(group, at, float((flat[: len(first)] - first).square().mean().sqrt()) / rms)


class GoldenSet:
    """A pre-training set: its manifest, its tensors if it has any, its crops as the network sees them, its masks."""

    def __init__(self, folder: Path, name: str, device: torch.device):
        self.device = device
        self.manifest: Dict[str, Any] = json.loads((folder / f'{name}.json').read_text())
        file: Optional[str] = self.manifest.get('file')
        self.tensors = read_safetensors(folder / file) if file else {}
        c = self.manifest['config']
        numbers = (c[key] for key in ('img', 'channels', 'depths', 'exp_r', 'vit_depth', 'heads', 'width'))
        self.config = Config(*numbers)
        source = self.manifest['input']
        low, high = source['window_hu']
        crops = read_safetensors(folder / 'inputs' / source['file'])
        hu = torch.stack([crops[crop].float() for crop in source['tensors']])[:, None]
        self.volume = ((hu - low) / (high - low)).clamp(0, 1).to(device)
        mask = self.tensors['mask'] if 'mask' in self.tensors else torch.tensor(self.manifest['mask'])
        self.visible = self.cells(mask)
        self.step_visible = [self.cells(mask) for mask in self.tensors.get('step_masks', [])]

    def cells(self, mask: Tensor) -> Tensor:
        """1 or 0 for each cell → indices of each sample's visible ones, [batch, visible]"""
        cells = mask.reshape(self.manifest['batch'], -1)
        return torch.stack([sample.nonzero().flatten() for sample in cells]).to(self.device)

    def under(self, prefix: str) -> Iterable[Tuple[str, Tensor]]:
        return ((key[len(prefix) :], value) for key, value in self.tensors.items() if key.startswith(prefix))


def compare_pass(golden: GoldenSet, model: HySparK, smooth: bool, errors: Errors) -> None:
    """Forward and backward from the formula's weights."""
    raw = golden.manifest['smooth'] if smooth else golden.manifest
    prefix = 'smooth ' if smooth else ''
    folder = 'smooth_' if smooth else ''
    fill(model, golden.manifest['seed'], smooth)
    model.zero_grad()
    seen: Dict[str, Tensor] = {'pos_embed': model.sparse_encoder.mae.pos_embed.detach()}
    loss = model(golden.volume, golden.visible, seen)
    loss.backward()
    errors.add(f'{prefix}loss', 'loss', relative(float(loss), raw['loss']))

    # the full-size sets say `activation`, the small ones `sampled`; smooth passes of the small ones have `rec` alone
    activations = raw.get('activation') or raw.get('sampled') or {'rec': raw['rec']}
    for name, expected in activations.items():
        if name in seen:
            add_sampled(errors, f'{prefix}activations', name, seen[name], expected, False)
        elif name != 'densify4':  # which is computed on demand only
            errors.add(f'{prefix}activations', f'{name}: not computed', math.nan)
    whole = {} if smooth else dict(golden.under(''))
    for name in seen.keys() & whole.keys():
        errors.add(f'{prefix}activations', name, whole_error(seen[name], whole[name]))
    state = model.state_dict()
    for key, expected in golden.under(f'{folder}bn/'):
        if key in state:
            errors.add(f'{prefix}running statistics', key, whole_error(state[key], expected))
    compare_gradients(golden, model, raw, prefix, errors)
    gradients = dict(model.named_parameters())
    for key, expected in golden.under(f'{folder}grad/'):
        if key not in golden.manifest['cancelling_grad'] and key not in golden.manifest['zero_grad']:
            errors.add(f'{prefix}gradients', f'{key} (whole)', whole_error(gradients[key].grad, expected))


def compare_gradients(golden: GoldenSet, model: HySparK, raw: Dict[str, Any], prefix: str, errors: Errors) -> None:
    manifest = golden.manifest
    gradients: Dict[str, Dict[str, Any]] = raw['grad'].get('sampled', raw['grad'])
    none: List[str] = manifest['none_grad']
    rms = not prefix and 'activation' not in manifest  # how plain gradients of the small sets are compared
    largest, cancelling = 0.0, (0.0, '')
    for key, parameter in model.named_parameters():
        gradient = parameter.grad
        errors.add(f'{prefix}gradients: presence', key, float((gradient is None) != (key in none)))
        if gradient is None:
            continue
        size = float(gradient.abs().max())
        if key in manifest['zero_grad']:
            errors.add(f'{prefix}gradients: zero', key, size)
        elif key in manifest['cancelling_grad']:
            cancelling = max(cancelling, (size, key))
        elif key not in gradients:
            errors.add(f'{prefix}gradients', f'{key}: not in the set', math.nan)
        else:
            largest = max(largest, size)
            add_sampled(errors, f'{prefix}gradients', key, gradient, gradients[key], rms)
    errors.add(f'{prefix}gradients: cancelling', cancelling[1], cancelling[0] / largest)


def compare_steps(golden: GoldenSet, model: HySparK, errors: Errors) -> None:
    """AdamW steps from smooth weights: losses, gradient norms, parameters."""
    manifest = golden.manifest
    steps: Dict[str, Any] = manifest['smooth']['steps']
    fill(model, manifest['seed'], True)
    trainer = Trainer(model, steps['lr'], steps['weight_decay'])
    parameters = dict(model.named_parameters())
    for n, visible in enumerate(golden.step_visible):
        loss = trainer.backward(golden.volume, visible, 'float32')
        norm = trainer.update('float32')
        errors.add('smooth steps: losses', f'step {n + 1}', relative(float(loss), steps['loss'][n]))
        errors.add('smooth steps: gradient norms', f'step {n + 1}', relative(float(norm), steps['grad_norm'][n]))
        for key, expected in steps.get(f'after_step_{n + 1}', {}).items():
            # running statistics follow the cancelling biases, and those are noise that AdamW turns into steps
            if key in parameters and key not in manifest['cancelling_grad']:
                add_checksum(errors, 'smooth steps: parameters', f'{key}, step {n + 1}', parameters[key], expected)


def compare(folder: Path, name: str, device: torch.device, unused: bool) -> Dict[str, Dict[str, Any]]:
    """@return for each group its worst error, where that was, and how many comparisons it is the worst of"""
    use_tf32(False)
    golden = GoldenSet(folder, name, device)
    model = HySparK(golden.config, unused).to(device)
    errors = Errors()
    compare_pass(golden, model, False, errors)
    compare_pass(golden, model, True, errors)
    if golden.step_visible:
        compare_steps(golden, model, errors)
    return errors.groups


if __name__ == '__main__':
    chosen = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    json.dump(compare(Path(sys.argv[1]), sys.argv[2], chosen, True), sys.stdout)

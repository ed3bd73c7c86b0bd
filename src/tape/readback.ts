/** Brings small results back late: a ring of mapped buffers, so that the GPU never waits for JavaScript. */

import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { valuesOf } from './half.ts';
import type { Tensor } from './tensor.ts';
import { align, type Place } from './variables.ts';

export class Readback {
  /** Steps that may be under way at once. */
  static readonly RING = 4;
  private readonly ring: { buffer: GPUBuffer; busy: boolean }[] = [];
  private readonly bytes: number;
  private next = 0;

  constructor(
    private readonly device: Device,
    private readonly tensors: readonly Tensor[],
  ) {
    this.bytes = tensors.reduce((sum, t) => sum + align(t.bytes), 0);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    for (let i = 0; i < Readback.RING; i++) {
      this.ring.push({ buffer: device.createBuffer(`report ${i}`, this.bytes, usage), busy: false });
    }
  }

  /** Throws `bad-state` when every buffer of the ring waits for the GPU. */
  need(): void {
    if (!this.ring[this.next]!.busy) return;
    throw new HysparkError('bad-state', {
      doing: 'Starting a step',
      got: `${Readback.RING} steps under way`,
      need: 'await the promise of an earlier step first',
    });
  }

  encode(encoder: GPUCommandEncoder, place: (tensor: Tensor) => Place): void {
    let to = 0;
    for (const tensor of this.tensors) {
      const { buffer, offset } = place(tensor);
      encoder.copyBufferToBuffer(buffer, offset, this.ring[this.next]!.buffer, to, tensor.bytes);
      to += align(tensor.bytes);
    }
  }

  /** Values of the step just submitted, when they arrive. Rejects with the device's failure if there was one. */
  async collect(): Promise<Float32Array[]> {
    const slot = this.ring[this.next]!;
    this.next = (this.next + 1) % Readback.RING;
    slot.busy = true;
    try {
      await this.device.finished(slot.buffer.mapAsync(GPUMapMode.READ));
      const range = slot.buffer.getMappedRange();
      let from = 0;
      return this.tensors.map((tensor) => {
        const values = valuesOf(tensor, range.slice(from, from + tensor.bytes));
        from += align(tensor.bytes);
        return values;
      });
    } finally {
      slot.busy = false;
      if (slot.buffer.mapState === 'mapped') slot.buffer.unmap();
    }
  }

  destroy(): void {
    for (const { buffer } of this.ring) buffer.destroy();
  }
}

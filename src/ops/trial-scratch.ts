/** What trials of kernels read: random numbers, in one piece of memory, whatever the tensors are. */

import type { Device } from '../gpu/device.ts';
import { Random } from '../random.ts';
import { type Shape, type Storage, Tensor } from '../tape/tensor.ts';
import { Variables } from '../tape/variables.ts';

export class Scratch {
  private constructor(
    readonly variables: Variables,
    private readonly memory: Tensor,
  ) {}

  /** @param bytes of the largest tensor that a trial reads */
  static async allocate(device: Device, bytes: number): Promise<Scratch> {
    const variables = new Variables(device.limits.maxStorageBufferBindingSize);
    const memory = variables.parameter('scratch', [Math.ceil(bytes / 4)]);
    const random = Random.of('tuning');
    // A period that is prime: no two rows of a matrix are equal. Halves of each number are finite as f16, too.
    const period = Float32Array.from({ length: 65521 }, (_, i) => 2 * random.uniform(i) - 1);
    const words = new Uint32Array(period.buffer);
    words.forEach((word, i) => {
      words[i] = word & 0xffffbfff;
    });
    const values = new Float32Array(memory.size);
    for (let at = 0; at < values.length; at += period.length) {
      values.set(period.subarray(0, Math.min(period.length, values.length - at)), at);
    }
    await variables.allocate(device, false);
    variables.write(memory, values);
    return new Scratch(variables, memory);
  }

  /** A tensor in that memory. Gradients are taken with respect to it if `requiresGrad`. */
  tensor(name: string, shape: Shape, storage: Storage, requiresGrad = false): Tensor {
    const tensor = new Tensor(name, shape, 'f32', 'parameter', requiresGrad, false, storage);
    tensor.home = this.memory;
    return tensor;
  }

  destroy(): void {
    this.variables.destroy();
  }
}

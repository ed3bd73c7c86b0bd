/**
 * Memory that outlives a plan: parameters, their gradients and moments, running statistics, constant tables.
 * Parameters are packed end to end into a few flat chunks, so that the optimiser is one launch a chunk, not one a parameter.
 */

import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { type DType, type Shape, sizeOf, Tensor } from './tensor.ts';

/** Byte alignment of every tensor inside a buffer: the largest `minStorageBufferOffsetAlignment` in use. */
export const ALIGNMENT = 256;

export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** A flat view of one chunk for the optimiser: equally long, elements in the same order, zero between parameters. */
export interface FlatChunk {
  readonly parameters: Tensor;
  readonly gradients: Tensor;
  readonly firstMoments: Tensor;
  readonly secondMoments: Tensor;
}

type Role = keyof FlatChunk | 'state';
interface Slot {
  readonly role: Role;
  readonly chunk: number;
  readonly offset: number;
}

/** WebGPU's default binding limit, used when the adapter is not yet known. */
export const DEFAULT_BINDING_BYTES = 128 * 1024 * 1024;

export class Variables {
  readonly parameters: Tensor[] = [];
  readonly states: Tensor[] = [];
  private readonly slots = new Map<Tensor, Slot>();
  private readonly gradients = new Map<Tensor, Tensor>();
  private readonly chunkBytes: number[] = [];
  private stateBytes = 0;
  private flat: FlatChunk[] | undefined;
  private readonly buffers = new Map<string, GPUBuffer>();
  private device: Device | undefined;

  /** @param maxBindingBytes the device's `maxStorageBufferBindingSize`: no chunk is larger. */
  constructor(private readonly maxBindingBytes = DEFAULT_BINDING_BYTES) {}

  /** Declares a trained tensor. Throws `exceeds-limits` when it is larger than one binding may be. */
  parameter(name: string, shape: Shape): Tensor {
    const bytes = align(sizeOf(shape) * 4);
    this.declare(name, bytes);
    const last = this.chunkBytes.length - 1;
    const fits = last >= 0 && this.chunkBytes[last]! + bytes <= this.maxBindingBytes;
    const chunk = fits ? last : this.chunkBytes.push(0) - 1;
    const offset = this.chunkBytes[chunk]!;
    this.chunkBytes[chunk] = offset + bytes;
    const parameter = new Tensor(name, shape, 'f32', 'parameter', true);
    const gradient = new Tensor(`d ${name}`, shape, 'f32', 'gradient', false);
    this.parameters.push(parameter);
    this.gradients.set(parameter, gradient);
    this.slots.set(parameter, { role: 'parameters', chunk, offset });
    this.slots.set(gradient, { role: 'gradients', chunk, offset });
    return parameter;
  }

  /** Declares a tensor that kernels may update and that has no gradient: running statistics, constant tables. */
  state(name: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    const bytes = align(sizeOf(shape) * 4);
    this.declare(name, bytes);
    const tensor = new Tensor(name, shape, dtype, 'state', false);
    this.states.push(tensor);
    this.slots.set(tensor, { role: 'state', chunk: 0, offset: this.stateBytes });
    this.stateBytes += bytes;
    return tensor;
  }

  private declare(name: string, bytes: number): void {
    if (this.flat || this.device) {
      throw new HysparkError('bad-state', {
        doing: `Declaring "${name}"`,
        got: 'variables already in use',
        need: 'declare first',
      });
    }
    if (bytes > this.maxBindingBytes) {
      throw new HysparkError('exceeds-limits', {
        doing: `Declaring "${name}"`,
        got: `${bytes} bytes`,
        need: `at most ${this.maxBindingBytes} (maxStorageBufferBindingSize)`,
        advice: 'Choose a smaller preset or another adapter',
      });
    }
    if ([...this.parameters, ...this.states].some((t) => t.name === name)) {
      throw new HysparkError('bad-argument', { doing: `Declaring "${name}"`, got: 'a name already taken' });
    }
  }

  /** Where a parameter's gradient is kept from step to step. */
  gradientOf(parameter: Tensor): Tensor {
    const gradient = this.gradients.get(parameter);
    if (!gradient)
      throw new HysparkError('bad-argument', { doing: `Gradient of "${parameter.name}"`, got: 'no such parameter' });
    return gradient;
  }

  /** The same place in the flat view of its chunk, as the index of its first element. */
  flatGradientOf(parameter: Tensor): { readonly gradients: Tensor; readonly first: number } {
    const { chunk, offset } = this.slotOf(this.gradientOf(parameter));
    return { gradients: this.chunks()[chunk]!.gradients, first: offset / 4 };
  }

  /** Flat views for the optimiser. No parameter can be declared after this. */
  chunks(): readonly FlatChunk[] {
    this.flat ??= this.chunkBytes.map((bytes, chunk) => {
      const view = (role: keyof FlatChunk, kind: 'parameter' | 'gradient' | 'state') => {
        const tensor = new Tensor(`${role}[${chunk}]`, [bytes / 4], 'f32', kind, false);
        this.slots.set(tensor, { role, chunk, offset: 0 });
        return tensor;
      };
      return {
        parameters: view('parameters', 'parameter'),
        gradients: view('gradients', 'gradient'),
        firstMoments: view('firstMoments', 'state'),
        secondMoments: view('secondMoments', 'state'),
      };
    });
    return this.flat;
  }

  /** Offset and moment slots of one parameter, as bytes inside its chunk: for checkpoints. */
  momentsOf(parameter: Tensor): { firstMoment: Tensor; secondMoment: Tensor } {
    const slot = this.slotOf(parameter);
    const view = (role: 'firstMoments' | 'secondMoments') => {
      const tensor = new Tensor(`${role} ${parameter.name}`, parameter.shape, 'f32', 'state', false);
      this.slots.set(tensor, { ...slot, role });
      return tensor;
    };
    return { firstMoment: view('firstMoments'), secondMoment: view('secondMoments') };
  }

  /** Bytes on the device: inference needs parameters and state, training gradients and two moments as well. */
  bytes(training: boolean): number {
    const parameters = this.chunkBytes.reduce((a, b) => a + b, 0);
    return parameters * (training ? 4 : 1) + this.stateBytes;
  }

  /** Creates the buffers, zero-filled. Gradients and moments only for training. Where it rejects there are none. */
  async allocate(device: Device, training: boolean): Promise<void> {
    this.device = device;
    const roles: Role[] = training ? ['parameters', 'gradients', 'firstMoments', 'secondMoments'] : ['parameters'];
    const made = await device.guarded('Allocating parameters', () => {
      const buffers: [string, GPUBuffer][] = [];
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
      for (const role of roles) {
        this.chunkBytes.forEach((bytes, chunk) => {
          buffers.push([`${role}${chunk}`, device.createBuffer(`${role}[${chunk}]`, bytes, usage)]);
        });
      }
      if (this.stateBytes > 0) buffers.push(['state0', device.createBuffer('state', this.stateBytes, usage)]);
      return buffers;
    });
    for (const [name, buffer] of made) this.buffers.set(name, buffer);
  }

  /** Where a declared tensor lies. Throws `bad-state` before `allocate`, or for a gradient without training. */
  place(tensor: Tensor): Place {
    const { role, chunk, offset } = this.slotOf(tensor);
    const buffer = this.buffers.get(`${role}${chunk}`);
    if (!buffer) {
      throw new HysparkError('bad-state', {
        doing: `Using "${tensor.name}"`,
        got: `no memory for ${role}`,
        need: 'allocate first',
      });
    }
    return { buffer, offset };
  }

  private slotOf(tensor: Tensor): Slot {
    const slot = this.slots.get(tensor);
    if (!slot)
      throw new HysparkError('bad-argument', { doing: `Using "${tensor.name}"`, got: 'a tensor of other variables' });
    return slot;
  }

  write(tensor: Tensor, data: Float32Array | Uint32Array): void {
    if (data.length !== tensor.size) {
      throw new HysparkError('bad-shape', {
        doing: `Writing "${tensor.name}"`,
        got: `${data.length} values`,
        need: `${tensor.size}`,
      });
    }
    const { buffer, offset } = this.place(tensor);
    this.device?.gpu.queue.writeBuffer(buffer, offset, data as GPUAllowSharedBufferSource);
  }

  async read(tensor: Tensor): Promise<Float32Array<ArrayBuffer>> {
    const [values] = await this.readTogether([tensor]);
    return values!;
  }

  /**
   * For reading many tensors one after the other: gives each in its turn, but brings those that follow it in the list along, as many as `bytes`
   * hold, for each trip to the GPU takes up to milliseconds. What was brought along is as old as the trip.
   */
  readerOf(
    tensors: readonly Tensor[],
    bytes = 8 * 1024 * 1024,
  ): (tensor: Tensor) => Promise<Float32Array<ArrayBuffer>> {
    const brought = new Map<Tensor, Float32Array<ArrayBuffer>>();
    const take = async (tensor: Tensor) => {
      if (!brought.has(tensor)) {
        brought.clear();
        const together: Tensor[] = [];
        let total = 0;
        for (const next of tensors.slice(tensors.indexOf(tensor))) {
          total += next.bytes;
          if (total > bytes && together.length > 0) break;
          together.push(next);
        }
        const all = await this.readTogether(together);
        together.forEach((next, i) => void brought.set(next, all[i]!));
      }
      const values = brought.get(tensor)!;
      brought.delete(tensor);
      return values;
    };
    let before: Promise<unknown> = Promise.resolve();
    return (tensor) => {
      const mine = before.then(() => take(tensor));
      before = mine.catch(() => undefined); // its caller hears of it
      return mine;
    };
  }

  private async readTogether(tensors: readonly Tensor[]): Promise<Float32Array<ArrayBuffer>[]> {
    const ranges = tensors.map((tensor) => ({ ...this.place(tensor), bytes: tensor.bytes }));
    return (await readBuffers(this.device!, ranges)).map((bytes) => new Float32Array(bytes));
  }

  destroy(): void {
    for (const buffer of this.buffers.values()) buffer.destroy();
    this.buffers.clear();
  }
}

/** Copies ranges of buffers to the host, together. Not for the hot path: it makes a staging buffer for each call. */
export async function readBuffers(
  device: Device,
  ranges: readonly (Place & { readonly bytes: number })[],
): Promise<ArrayBuffer[]> {
  device.check();
  const total = ranges.reduce((sum, { bytes }) => sum + bytes, 0);
  const staging = device.createBuffer('read back', total, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  try {
    const encoder = device.gpu.createCommandEncoder({ label: 'read back' });
    let end = 0;
    const slices = ranges.map(({ buffer, offset, bytes }) => {
      const begin = end;
      end += bytes;
      encoder.copyBufferToBuffer(buffer, offset, staging, begin, bytes);
      return [begin, end] as const;
    });
    device.submit(encoder.finish());
    await device.finished(staging.mapAsync(GPUMapMode.READ));
    const mapped = staging.getMappedRange();
    return slices.map(([from, to]) => mapped.slice(from, to));
  } finally {
    staging.destroy();
  }
}

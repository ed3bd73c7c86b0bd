/**
 * A plan: the tape's launches with every tensor placed (`layout.ts`), every pipeline and bind group made. `compile` makes the GPU objects;
 * a step is then upload, submit, read back late.
 */

import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { Profiler } from '../gpu/profiler.ts';
import { valuesOf } from './half.ts';
import { type Layout, layOut, type PlanOptions } from './layout.ts';
import { Readback } from './readback.ts';
import { type Joined, joined, type Slice, slicesOf } from './slices.ts';
import { type Part, Submissions } from './submissions.ts';
import type { Dispatch, Tape } from './tape.ts';
import type { Tensor } from './tensor.ts';
import { packUniforms } from './uniforms.ts';
import { type Place, readBuffers, type Variables } from './variables.ts';

interface Launchable {
  readonly slice: Slice;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
}

/** One call of `dispatchWorkgroups`. */
type Call = Joined<Launchable>;

/** Builds a tape's plan on a device. Rejects with a typed error naming the kernel that failed, and keeps no memory then. */
export async function compile(
  device: Device,
  tape: Tape,
  variables?: Variables,
  options: PlanOptions = {},
): Promise<Plan> {
  device.check();
  const layout = layOut(tape, variables, device.limits, options);
  for (const { kernel, launch, label } of layout.dispatches) {
    const most = device.limits.maxComputeWorkgroupsPerDimension;
    if (launch.workgroups.some((n, axis) => n > most && axis !== kernel.sliced?.axis)) {
      throw new HysparkError('exceeds-limits', {
        doing: `Planning ${label}`,
        got: `${launch.workgroups} workgroups of ${kernel.id}`,
      });
    }
  }
  const slices = layout.dispatches.flatMap((dispatch) => slicesOf(dispatch, options.mostFlops));
  const compiled = await Promise.all(slices.map(({ dispatch }) => device.compile(dispatch.kernel)));
  return device.guarded('Building a plan', () => {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const arenas = layout.memory.arenaBytes.map((bytes, i) => device.createBuffer(`arena ${i}`, bytes, usage));
    const inputs = layout.bytes.inputs > 0 ? device.createBuffer('inputs', layout.bytes.inputs, usage) : undefined;
    const place = (tensor: Tensor): Place => {
      const slot = layout.memory.places.get(tensor.home ?? tensor);
      if (slot) return { buffer: arenas[slot.arena]!, offset: slot.offset + tensor.homeOffset };
      const input = layout.inputs.get(tensor);
      if (input !== undefined) return { buffer: inputs!, offset: input };
      if (!variables)
        throw new HysparkError('bad-state', {
          doing: `Planning "${tensor.name}"`,
          got: 'a parameter but no variables',
        });
      return variables.place(tensor.home ?? tensor);
    };
    const uniforms = packUniforms(slices);
    const uniformBuffer = device.createBuffer(
      'uniforms',
      uniforms.data.byteLength,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
    device.gpu.queue.writeBuffer(uniformBuffer, 0, uniforms.data);
    const launches = slices.map((slice, index): Launchable => {
      const { kernel, tensors, label } = slice.dispatch;
      const { pipeline, layout: groupLayout } = compiled[index]!;
      const entries = tensors.map((tensor, binding): GPUBindGroupEntry => {
        const { buffer, offset } = place(tensor);
        // A vec4 view needs whole vectors; the rest of the last one is inside the tensor's aligned slot.
        return { binding, resource: { buffer, offset, size: Math.ceil(tensor.bytes / 16) * 16 } };
      });
      const [offset, size] = uniforms.ranges[index]!;
      if (size > 0) entries.push({ binding: entries.length, resource: { buffer: uniformBuffer, offset, size } });
      const bindGroup = device.createBindGroup(`${label} ${kernel.id}`, groupLayout, entries);
      return { slice, pipeline, bindGroup };
    });
    const readback = new Readback(device, tape.reports);
    const buffers = [...arenas, ...(inputs ? [inputs] : []), uniformBuffer];
    const flops = launches.map(({ slice }) => slice.flops);
    const calls = (part: Part) => joined(launches, part);
    const submissions = new Submissions(device.report.class, flops, calls, options.mostFlops);
    const mostCalls = calls([0, launches.length]).length;
    const plan = new Plan(device, layout, submissions, mostCalls, place, buffers, readback);
    for (const [tensor, values] of tape.constants) plan.write(tensor, values);
    return plan;
  });
}

export class Plan {
  private readonly mirror: ArrayBuffer;
  private dirty = true;
  private profiler: Profiler | undefined;
  private encoded: GPUCommandBuffer[] | undefined;
  private ahead: ReturnType<typeof setTimeout> | undefined;
  private destroyed = false;
  /** What recording the commands of the last recorded step took: JavaScript's share that overlaps the GPU's work. */
  recordingMilliseconds = 0;

  /**
   * Made by `compile`.
   * @param submissions launches of each submission of a step
   * @param mostCalls in a submission, however a step is cut
   */
  constructor(
    private readonly device: Device,
    readonly layout: Layout,
    private readonly submissions: Submissions<readonly Call[]>,
    private readonly mostCalls: number,
    private readonly place: (tensor: Tensor) => Place,
    private readonly buffers: readonly GPUBuffer[],
    private readonly readback: Readback,
  ) {
    this.mirror = new ArrayBuffer(layout.bytes.inputs);
  }

  /** Sets an input for the coming steps. */
  write(tensor: Tensor, data: Float32Array | Uint32Array): void {
    const offset = this.layout.inputs.get(tensor);
    if (offset === undefined || data.length !== tensor.size) {
      const got = offset === undefined ? 'not an input of this plan' : `${data.length} values`;
      throw new HysparkError('bad-shape', {
        doing: `Writing input "${tensor.name}"`,
        got,
        need: `${tensor.size} values`,
      });
    }
    const View = tensor.dtype === 'f32' ? Float32Array : Uint32Array;
    new View(this.mirror, offset, tensor.size).set(data);
    this.dirty = true;
  }

  /**
   * Uploads the inputs and submits every launch. Returns at once; the promise gives the reported tensors' values in the
   * order of `tape.report`, when the GPU gets there. At most `Readback.RING` steps may be under way.
   */
  step(): Promise<Float32Array[]> {
    this.check();
    const { gpu } = this.device;
    this.readback.need();
    if (this.dirty && this.mirror.byteLength > 0) {
      const first = this.layout.inputs.keys().next().value as Tensor;
      gpu.queue.writeBuffer(this.place(first).buffer, 0, this.mirror);
      this.dirty = false;
    }
    const encoded = this.encoded ?? this.encode();
    const start = performance.now();
    for (const commands of encoded) this.device.submit(commands);
    this.encoded = undefined;
    const reports = this.readback.collect().then((values) => {
      this.submissions.took(start, performance.now());
      return values;
    }, this.failed);
    // The next step's commands do not depend on its inputs: record them while the GPU works on this one.
    this.ahead = setTimeout(() => {
      this.encoded ??= this.encode();
    }, 0);
    return reports;
  }

  /** Records the commands of one step; inputs are uploaded when it is submitted. */
  private encode(): GPUCommandBuffer[] {
    const start = performance.now();
    const submissions = this.submissions.next();
    const commands = submissions.map((calls, index) => {
      const encoder = this.device.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      let pipeline: GPUComputePipeline | undefined;
      for (const call of calls) {
        if (call.pipeline !== pipeline) {
          pipeline = call.pipeline;
          pass.setPipeline(pipeline);
        }
        pass.setBindGroup(0, call.bindGroup);
        pass.dispatchWorkgroups(...call.workgroups);
      }
      pass.end();
      if (index === submissions.length - 1) this.readback.encode(encoder, this.place);
      return encoder.finish();
    });
    this.recordingMilliseconds = performance.now() - start;
    return commands;
  }

  /**
   * Runs one step with each launch timed by itself, done `count` times in a row: nanoseconds a launch. Submission by submission, so that a small
   * GPU is not busy for long; without the feature `timestamp-query` each launch is one, which adds what a submission costs.
   */
  async profile(count = 1): Promise<{ dispatch: Dispatch; nanoseconds: number }[]> {
    await this.step(); // uploads the inputs and warms up
    const found = new Map<Dispatch, number>();
    for (const calls of this.submissions.next()) {
      const times = await this.timed(calls.map((call) => rowOf(call, count)));
      calls.forEach(({ slice: { dispatch } }, i) => {
        found.set(dispatch, (found.get(dispatch) ?? 0) + times[i]! / count);
      });
    }
    return [...found].map(([dispatch, nanoseconds]) => ({ dispatch, nanoseconds }));
  }

  /**
   * Milliseconds of all launches, each done `count` times in a row, on the inputs of the last step: by timestamps where the device has them, else
   * by the clock from each submission to its end, which adds what a submission costs.
   */
  async time(count: number): Promise<number> {
    let nanoseconds = 0;
    for (const calls of this.submissions.next()) {
      const rows = calls.map((call) => rowOf(call, count));
      const [all] = await this.timed([(pass) => rows.forEach((row) => void row(pass))]);
      nanoseconds += all!;
    }
    return nanoseconds / 1e6;
  }

  private timed(launches: readonly ((pass: GPUComputePassEncoder) => void)[]): Promise<number[]> {
    this.check();
    this.profiler ??= new Profiler(this.device, this.mostCalls);
    return this.profiler.run(launches).catch(this.failed);
  }

  /** Values of an output, a parameter, a state or an input after the last step; of all of it, or of `count` from `first`. */
  async read(tensor: Tensor, first = 0, count = tensor.size - first): Promise<Float32Array> {
    this.check();
    const { buffer, offset } = this.place(tensor);
    const bytesEach = tensor.storage === 'f16' ? 2 : 4;
    // Copies begin and end at whole words.
    const begin = Math.floor((first * bytesEach) / 4) * 4;
    const end = Math.ceil(((first + count) * bytesEach) / 4) * 4;
    const range = { buffer, offset: offset + begin, bytes: end - begin };
    const [bytes] = await readBuffers(this.device, [range]);
    const { storage } = tensor;
    const skip = first - begin / bytesEach;
    return valuesOf({ size: skip + count, storage }, bytes!).subarray(skip);
  }

  async readWords(tensor: Tensor): Promise<Uint32Array> {
    this.check();
    const [bytes] = await readBuffers(this.device, [{ ...this.place(tensor), bytes: tensor.bytes }]);
    return new Uint32Array(bytes!);
  }

  /** Fills all activations with what is NaN as f32 and as f16: tests show by it that nothing unwritten is read. */
  fillActivations(): void {
    this.check();
    for (const [i, bytes] of this.layout.memory.arenaBytes.entries()) {
      this.device.gpu.queue.writeBuffer(this.buffers[i]!, 0, new Uint32Array(bytes / 4).fill(0x7fff7fff));
    }
  }

  get submissionsPerStep(): number {
    return this.submissions.count;
  }

  /** Throws what is wrong with the device, or that the plan was destroyed. */
  private check(): void {
    this.device.check();
    if (this.destroyed) {
      const need = 'what is under way to be awaited first';
      throw new HysparkError('bad-state', { doing: 'Running a plan', got: 'one that was destroyed', need });
    }
  }

  /** Work that was under way when the plan was destroyed fails for that reason, not for the device's. */
  private readonly failed = (error: unknown): never => {
    this.check();
    throw error;
  };

  /** What is under way rejects with `bad-state`. */
  destroy(): void {
    this.destroyed = true;
    clearTimeout(this.ahead);
    this.encoded = undefined;
    for (const buffer of this.buffers) buffer.destroy();
    this.readback.destroy();
    this.profiler?.destroy();
  }
}

/** A launch, `count` times in a row. */
function rowOf({ pipeline, bindGroup, workgroups }: Call, count: number): (pass: GPUComputePassEncoder) => void {
  return (pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    for (let i = 0; i < count; i++) pass.dispatchWorkgroups(...workgroups);
  };
}

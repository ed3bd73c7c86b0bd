/** A GPU device: opened once, with pipelines cached, failures turned into typed errors and creations counted. */

import type { Kernel } from '../../shaders/lib/kernel.ts';
import { type ErrorParts, HysparkError } from '../errors.ts';
import {
  type AdapterReport,
  describeAdapter,
  type Experimental,
  F16,
  REQUESTED_LIMITS,
  runtimeName,
} from './adapter.ts';
import { isFirefox, nudging } from './firefox.ts';

export interface OpenOptions {
  /** Node only: `lavapipe` or `swiftshader` instead of the system's first adapter. */
  readonly adapter?: string;
  readonly powerPreference?: GPUPowerPreference;
  /** Node only: further Dawn options, e.g. `enable-dawn-features=vulkan_enable_f16_on_nvidia`. */
  readonly dawnOptions?: readonly string[];
  readonly experimental?: Experimental;
}

/** How many objects of each kind this device has created; a replayed step must add none but submissions. */
export interface Counters {
  buffers: number;
  /** Of all buffers that were created. */
  bytes: number;
  bindGroups: number;
  pipelines: number;
  submissions: number;
}

export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

type Waiting = <T>(promise: Promise<T>) => Promise<T>;

/** Gets a device in a browser, in Node (Dawn) or in Deno. Throws `no-adapter` with a way to get one. */
export async function openDevice(options: OpenOptions = {}): Promise<Device> {
  const gpu = await findGpu(options);
  const looking = { doing: 'Looking for a GPU', got: 'none', advice: ADVICE[runtimeName()] };
  const powerPreference = options.powerPreference ?? 'high-performance';
  const adapter = await gpu?.requestAdapter({ powerPreference }).catch(refused(looking));
  if (!adapter) throw new HysparkError('no-adapter', looking);
  const report = describeAdapter(adapter, options.experimental);
  const requiredLimits = Object.fromEntries(REQUESTED_LIMITS.map((name) => [name, report.limits[name]]));
  const requiredFeatures = report.features as GPUFeatureName[];
  const device = await adapter
    .requestDevice({ label: 'hyspark', requiredFeatures, requiredLimits })
    .catch(refused({ doing: `Opening the GPU (${report.name})`, advice: OTHERS }));
  return new Device(device, report, await waitingFor(device, report));
}

async function waitingFor(device: GPUDevice, { runtime }: AdapterReport): Promise<Waiting | undefined> {
  if (runtime === 'node') return (await import('./dawn.ts')).waitQuietly;
  return runtime === 'browser' && isFirefox() ? nudging(device) : undefined;
}

/** For a `catch`: WebGPU's own reason in a sentence of ours. */
function refused(parts: ErrorParts): (cause: unknown) => never {
  return (cause) => {
    throw new HysparkError('no-adapter', { ...parts, got: String(cause), cause });
  };
}

const OTHERS = 'Close what else uses the GPU, or start the browser or program anew, and try again';
const ADVICE = {
  browser:
    'Use a browser with WebGPU (Chrome or Edge 113+, Safari 26+, Firefox 141+) on a page served over https or localhost, and check that hardware acceleration is on in its settings',
  node: "Install a Vulkan driver (Debian: apt-get install mesa-vulkan-drivers, version 24 or newer, for a software one) or choose one with adapter: 'lavapipe' or 'swiftshader'",
  deno: 'Run Deno with --unstable-webgpu and a Vulkan driver installed (Debian: apt-get install mesa-vulkan-drivers, version 24 or newer)',
};

async function findGpu(options: OpenOptions): Promise<GPU | undefined> {
  const native = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (native || runtimeName() !== 'node') return native;
  const { openDawn } = await import('./dawn.ts');
  // Dawn offers f16 on NVIDIA's driver for Vulkan only by this name; kernels that need it are compared before they are used.
  const f16 = 'enable-dawn-features=vulkan_enable_f16_on_nvidia';
  return openDawn(options.adapter, [...(options.dawnOptions ?? []), f16]);
}

export class Device {
  readonly counters: Counters = { buffers: 0, bytes: 0, bindGroups: 0, pipelines: 0, submissions: 0 };
  /** Resolves when the device is gone: with the error, or with nothing after `dispose`. */
  readonly lost: Promise<HysparkError | undefined>;
  private failure: HysparkError | undefined;
  private disposed = false;
  private readonly compiled = new Map<string, Promise<CompiledKernel>>();
  /** Buffers that the guarded work of now has created. */
  private created: GPUBuffer[] | undefined;

  constructor(
    readonly gpu: GPUDevice,
    readonly report: AdapterReport,
    /** How to await the GPU where the runtime's own way is wasteful (Node) or slow (Firefox). */
    private readonly waiting?: Waiting,
  ) {
    gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.failure ??= gpuError(event.error, 'Running on the GPU');
    });
    this.lost = gpu.lost.then((info) => {
      if (this.disposed) return undefined;
      this.failure = new HysparkError('device-lost', {
        doing: `Using the GPU (${report.name})`,
        got: info.message || info.reason || 'the device was lost',
        advice: 'The work since the last checkpoint is gone; resume from it on a new device',
      });
      return this.failure;
    });
  }

  get limits(): AdapterReport['limits'] {
    return this.report.limits;
  }

  /** Throws what went wrong on the device since it was opened, if anything did, or that it was disposed. */
  check(): void {
    if (this.failure) throw this.failure;
    if (this.disposed) {
      throw new HysparkError('bad-state', {
        doing: 'Using a device',
        got: 'one that was disposed',
        need: 'a new device',
      });
    }
  }

  /** Awaits work of the GPU. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return this.waiting ? this.waiting(promise) : promise;
  }

  /** Awaits what was submitted. Rejects with what went wrong on the device meanwhile. */
  async finished<T>(promise: Promise<T>): Promise<T> {
    const result = await this.wait(promise).catch((cause: unknown) => {
      this.check();
      throw new HysparkError('device-lost', { doing: 'Waiting for the GPU', got: String(cause), cause });
    });
    this.check();
    return result;
  }

  createBuffer(label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    this.counters.buffers++;
    this.counters.bytes += size;
    const buffer = this.gpu.createBuffer({ label, size, usage });
    this.created?.push(buffer);
    return buffer;
  }

  createBindGroup(label: string, layout: GPUBindGroupLayout, entries: GPUBindGroupEntry[]): GPUBindGroup {
    this.counters.bindGroups++;
    return this.gpu.createBindGroup({ label, layout, entries });
  }

  submit(commands: GPUCommandBuffer): void {
    this.counters.submissions++;
    this.gpu.queue.submit([commands]);
  }

  /** Builds a kernel's pipeline, once. Rejects with `shader-compilation` naming the kernel and the compiler's message. */
  compile(kernel: Kernel): Promise<CompiledKernel> {
    let compiled = this.compiled.get(kernel.id);
    if (!compiled) {
      compiled = this.build(kernel);
      this.compiled.set(kernel.id, compiled);
    }
    return compiled;
  }

  /**
   * Runs `work` inside error scopes and throws what they caught. For everything that creates objects. Where it throws, buffers that `work`
   * created before its first `await` are destroyed: nobody has them.
   */
  async guarded<T>(doing: string, work: () => T | Promise<T>): Promise<T> {
    this.check();
    this.gpu.pushErrorScope('out-of-memory');
    this.gpu.pushErrorScope('validation');
    const created: GPUBuffer[] = [];
    this.created = created;
    const pending = (async () => work())(); // what it throws at once is a rejection, too
    this.created = undefined;
    // Scopes are a stack on the device: pop before awaiting, so that concurrent work keeps its own.
    const errors = Promise.all([this.gpu.popErrorScope(), this.gpu.popErrorScope()]);
    try {
      const [result, caught] = await this.wait(Promise.all([pending, errors]));
      const error = caught.find((e) => e !== null);
      if (error) throw gpuError(error, doing);
      return result;
    } catch (error) {
      for (const buffer of created) buffer.destroy();
      throw error;
    }
  }

  dispose(): void {
    this.disposed = true;
    this.gpu.destroy();
  }

  private async build(kernel: Kernel): Promise<CompiledKernel> {
    const { gpu } = this;
    const doing = `Compiling kernel ${kernel.id}`;
    if (kernel.bindings.length > 8) {
      throw new HysparkError('gpu-validation', {
        doing,
        got: `${kernel.bindings.length} storage buffers`,
        need: 'at most 8',
      });
    }
    this.check();
    if (kernel.f16 && !this.report.features.includes(F16)) {
      throw new HysparkError('unsupported', { doing, got: `${this.report.name}, which lacks ${F16}`, need: F16 });
    }
    this.counters.pipelines++;
    gpu.pushErrorScope('validation');
    const shader = gpu.createShaderModule({ label: kernel.id, code: kernel.wgsl });
    const entries = kernel.bindings.map((b, binding): GPUBindGroupLayoutEntry => {
      const type = b.access === 'read' ? 'read-only-storage' : 'storage';
      return { binding, visibility: 4 /* COMPUTE */, buffer: { type } };
    });
    if (Object.keys(kernel.uniforms).length > 0) {
      entries.push({ binding: entries.length, visibility: 4, buffer: { type: 'uniform' } });
    }
    const layout = gpu.createBindGroupLayout({ label: kernel.id, entries });
    const pipelineLayout = gpu.createPipelineLayout({ label: kernel.id, bindGroupLayouts: [layout] });
    const scope = gpu.popErrorScope();
    const descriptor = { label: kernel.id, layout: pipelineLayout, compute: { module: shader, entryPoint: 'main' } };
    const pipeline = gpu.createComputePipelineAsync(descriptor).catch((cause: unknown) => cause);
    const [error, built, diagnostics] = await this.wait(Promise.all([scope, pipeline, messages(shader)]));
    if (diagnostics || error || built instanceof Error) {
      this.check(); // a lost device is the better explanation
      const got = diagnostics || error?.message || (built as Error).message;
      throw new HysparkError('shader-compilation', { doing, got, cause: built instanceof Error ? built : undefined });
    }
    return { pipeline: built as GPUComputePipeline, layout };
  }
}

/** Every message of the WGSL compiler, warnings too: shaders are kept free of both. */
async function messages(shader: GPUShaderModule): Promise<string> {
  const info = await shader.getCompilationInfo?.(); // absent in some wgpu builds
  return (info?.messages ?? [])
    .filter((m) => m.type !== 'info')
    .map((m) => `${m.lineNum}:${m.linePos} ${m.message}`)
    .join('; ');
}

function gpuError(error: GPUError, doing: string): HysparkError {
  const memory = 'GPUOutOfMemoryError' in globalThis && error instanceof GPUOutOfMemoryError;
  return new HysparkError(memory ? 'gpu-out-of-memory' : 'gpu-validation', {
    doing,
    got: error.message,
    advice: memory ? 'Choose a smaller batch or preset, or recompute activations' : undefined,
    cause: error,
  });
}

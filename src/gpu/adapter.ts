/** What an adapter is: its name, its class for choosing kernels, the limits and features that we ask of it. */

import type { SubgroupMatrix } from '../../shaders/gemm/matrix.wgsl.ts';

/** Kernels are chosen by this class (`ops/gemm-table.ts`), never by a vendor's name in an op. */
export type AdapterClass =
  | 'gpu' // a real GPU: workgroup memory is fast, thousands of threads
  | 'software-subgroups' // lavapipe, SwiftShader: a CPU's SIMD lanes seen through subgroups
  | 'software'; // a software adapter without subgroups (wgpu on lavapipe)

export interface AdapterReport {
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly runtime: 'browser' | 'node' | 'deno';
  readonly class: AdapterClass;
  /** Lanes of a subgroup, 0 where the device has no subgroups or the number varies. */
  readonly subgroupSize: number;
  readonly features: readonly string[];
  /** Shapes that its matrix units multiply into f32, where they were asked for (`OpenOptions.experimental`). */
  readonly matrices: readonly SubgroupMatrix[];
  readonly limits: Readonly<Record<RequestedLimit, number>>;
}

/** The adapter's own values are asked for: the defaults (128 MiB a binding) are too small for 96³ feature maps. */
export const REQUESTED_LIMITS = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
] as const;
export type RequestedLimit = (typeof REQUESTED_LIMITS)[number];

/** What mixed precision needs. */
export const F16 = 'shader-f16';

/** Asked for when the adapter has them; only what is asked for by name depends on them being there. */
export const WANTED_FEATURES = ['timestamp-query', 'subgroups', F16] as const;
const MATRIX_FEATURE = 'chromium-experimental-subgroup-matrix';

/** What is no standard yet and is asked for only by name. */
export interface Experimental {
  /**
   * Multiply by the GPU's matrix units where the browser offers them (Chrome with `--enable-unsafe-webgpu`, Node), for products on which
   * they are measured to be faster. Where the units read f16, factors of the forward pass are rounded to it.
   */
  readonly subgroupMatrix?: boolean;
}

export function runtimeName(): AdapterReport['runtime'] {
  if ('Deno' in globalThis) return 'deno';
  return typeof process !== 'undefined' && process.versions?.node ? 'node' : 'browser';
}

export function describeAdapter(adapter: GPUAdapter, experimental: Experimental = {}): AdapterReport {
  const info = adapter.info;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  const software = info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|software|basic render/.test(text);
  const features: string[] = WANTED_FEATURES.filter((f) => adapter.features.has(f));
  const hasMatrices =
    experimental.subgroupMatrix && features.includes('subgroups') && adapter.features.has(MATRIX_FEATURE);
  if (hasMatrices) features.push(MATRIX_FEATURE);
  const subgroups = features.includes('subgroups');
  const fixedSize = info.subgroupMinSize === info.subgroupMaxSize ? (info.subgroupMinSize ?? 0) : 0;
  return {
    name: nameOf(info, software),
    vendor: info.vendor,
    architecture: info.architecture,
    runtime: runtimeName(),
    class: !software ? 'gpu' : subgroups && fixedSize > 1 ? 'software-subgroups' : 'software',
    subgroupSize: subgroups ? fixedSize : 0,
    features,
    matrices: hasMatrices ? subgroupMatrices(adapter, features) : [],
    limits: Object.fromEntries(REQUESTED_LIMITS.map((name) => [name, adapter.limits[name]])) as Record<
      RequestedLimit,
      number
    >,
  };
}

/** A GPU's model where it is told (Node), a software adapter's version, else the family that browsers tell. */
function nameOf({ vendor, architecture, device, description }: GPUAdapterInfo, software: boolean): string {
  const family = [vendor, architecture, device].filter(Boolean).join(' ');
  return (software ? '' : device) || description || family || 'unnamed adapter';
}

/** As Chromium's proposal has it; absent from WebGPU's types. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

function subgroupMatrices(adapter: GPUAdapter, features: readonly string[]): SubgroupMatrix[] {
  const { subgroupMatrixConfigs = [], subgroupMaxSize: lanes } = adapter.info as GPUAdapterInfo & {
    subgroupMatrixConfigs?: Iterable<MatrixConfig>;
  };
  return [...subgroupMatrixConfigs].flatMap(({ componentType: input, resultComponentType, M, N, K }) => {
    const known = input === 'f32' || (input === 'f16' && features.includes(F16));
    return known && resultComponentType === 'f32' ? [{ input, M, N, K, lanes }] : [];
  });
}

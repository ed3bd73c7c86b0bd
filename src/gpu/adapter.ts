/** What an adapter is: its name, its class for choosing kernels, the limits and features that we ask of it. */

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

export function runtimeName(): AdapterReport['runtime'] {
  if ('Deno' in globalThis) return 'deno';
  return typeof process !== 'undefined' && process.versions?.node ? 'node' : 'browser';
}

export function describeAdapter(adapter: GPUAdapter): AdapterReport {
  const info = adapter.info;
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`.toLowerCase();
  const software = info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|software|basic render/.test(text);
  const features = WANTED_FEATURES.filter((f) => adapter.features.has(f));
  const subgroups = features.includes('subgroups');
  const fixedSize = info.subgroupMinSize === info.subgroupMaxSize ? (info.subgroupMinSize ?? 0) : 0;
  return {
    name:
      info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(' ') || 'unnamed adapter',
    vendor: info.vendor,
    architecture: info.architecture,
    runtime: runtimeName(),
    class: !software ? 'gpu' : subgroups && fixedSize > 1 ? 'software-subgroups' : 'software',
    subgroupSize: subgroups ? fixedSize : 0,
    features,
    limits: Object.fromEntries(REQUESTED_LIMITS.map((name) => [name, adapter.limits[name]])) as Record<
      RequestedLimit,
      number
    >,
  };
}

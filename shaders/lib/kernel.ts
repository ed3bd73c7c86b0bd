/**
 * What a kernel is: WGSL text plus the list of what it binds. The declarations of bindings and uniforms are written
 * from that list, so the shader and the code that calls it cannot disagree.
 */

import { wgsl as preprocessed } from 'wgsl-preprocessor/wgsl-preprocessor.js';

/** The package's tag under a type of our own: it ships none, and ours have to hold where this module is installed. */
export const wgsl: (strings: TemplateStringsArray, ...values: unknown[]) => string = preprocessed;

export type Access = 'read' | 'write' | 'update'; // update: reads its old value and writes the new one
export type ElementType = 'f32' | 'u32' | 'i32' | 'vec4f';
/** How elements lie in memory: as the kernel works with them, or in half the bytes (`half.ts`). */
export type StoredType = ElementType | 'f16' | 'vec4h';
export type UniformType = 'u32' | 'i32' | 'f32';

export interface Binding {
  readonly name: string;
  readonly access: Access;
  readonly type: StoredType;
}

export interface Kernel {
  /** Family, then variant: unique for its WGSL text; the key of the pipeline cache and the label in errors. */
  readonly id: string;
  readonly bindings: readonly Binding[];
  readonly uniforms: Readonly<Record<string, UniformType>>;
  readonly wgsl: string;
  readonly subgroups: boolean;
  /** Some of its bindings are stored as f16: needs the device feature `shader-f16`. */
  readonly f16: boolean;
  /** Left out, it is launched in one. */
  readonly sliced?: Sliced;
}

/** How a launch may be cut into several along an axis: the kernel adds a uniform, which the plan sets, to its workgroup's place there. */
export interface Sliced {
  readonly axis: 0 | 2;
  /** The uniform's name. */
  readonly first: string;
}

export type VariantValue = string | number | boolean;

export interface KernelDescription<V extends object = object> {
  readonly name: string;
  /** What distinguishes this member of the family; part of the id. */
  readonly variant?: V;
  readonly reads?: Readonly<Record<string, ElementType>>;
  readonly writes?: Readonly<Record<string, ElementType>>;
  readonly updates?: Readonly<Record<string, ElementType>>;
  readonly uniforms?: Readonly<Record<string, UniformType>>;
  /** Uses subgroup operations: needs the device feature `subgroups`. */
  readonly subgroups?: boolean;
  /** Its subgroup operations stand in control flow that the compiler cannot see to be the same for a whole subgroup. */
  readonly divergent?: boolean;
  readonly sliced?: Sliced;
  /** Further extensions to enable and diagnostics to set. */
  readonly directives?: readonly string[];
  /** Functions and the entry point `main`. Uniforms are read as `u.name`. */
  readonly code: string;
}

/** Completes a kernel's WGSL with its declarations. Bindings are numbered reads, writes, updates, then uniforms. */
export function kernel<V extends object>(description: KernelDescription<V>): Kernel {
  const {
    name,
    variant,
    reads = {},
    writes = {},
    updates = {},
    uniforms: given = {},
    subgroups = false,
    divergent = false,
    directives: further = [],
    sliced,
    code,
  } = description;
  const bindings: Binding[] = [
    ...Object.entries(reads).map(([n, type]): Binding => ({ name: n, access: 'read', type })),
    ...Object.entries(writes).map(([n, type]): Binding => ({ name: n, access: 'write', type })),
    ...Object.entries(updates).map(([n, type]): Binding => ({ name: n, access: 'update', type })),
  ];
  const declarations = bindings.map(
    (b, i) =>
      `@group(0) @binding(${i}) var<storage, ${b.access === 'read' ? 'read' : 'read_write'}> ${b.name}: array<${b.type}>;`,
  );
  const uniforms: Record<string, UniformType> = { ...given, ...(sliced && { [sliced.first]: 'u32' }) };
  const fields = Object.entries(uniforms);
  if (fields.length > 0) {
    declarations.push(
      `struct Uniforms { ${fields.map(([n, t]) => `${n}: ${t}`).join(', ')} }`,
      `@group(0) @binding(${bindings.length}) var<uniform> u: Uniforms;`,
    );
  }
  const enabled = subgroups ? ['enable subgroups;', ...further] : further;
  const directives = [...enabled, ...(divergent ? ['diagnostic(off, subgroup_uniformity);'] : [])];
  const suffix = variant
    ? Object.entries(variant)
        .map(([k, v]) => `${k}=${v}`)
        .join(',')
    : '';
  return {
    id: suffix ? `${name}(${suffix})` : name,
    bindings,
    uniforms,
    subgroups,
    f16: false,
    ...(sliced && { sliced }),
    wgsl: `${[...directives, ...declarations].join('\n')}\n${code}`,
  };
}

/** Threads a workgroup of the plain one-thread-an-element kernels. */
export const WORKGROUP = 64;

/** Threads of a launch on a CPU at the most: some workgroups for each core, since a workgroup costs as much as dozens of elements there. */
export const CPU_THREADS = 2048;

/**
 * `elementIndex(...)`: the flat index of a thread when a one-dimensional launch was folded into two dimensions to stay under
 * 65535 workgroups an axis (`foldWorkgroups`).
 */
export const elementIndex = `
fn elementIndex(group: vec3u, groups: vec3u, local: u32) -> u32 {
  return (group.y * groups.x + group.x) * ${WORKGROUP}u + local;
}`;

/** The arguments that `elementIndex` needs, as entry-point parameters. */
export const elementArguments =
  '@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) local: u32';

/**
 * Entry point of a kernel that runs `body` once for each `i` below `u.count`, with any number of threads: a GPU is given one an element,
 * a CPU a few that walk them all, for there each workgroup costs as much as dozens of elements.
 */
export function elementwise(body: string): string {
  // Such a variable is zero at each turn of the loop by the standard, and what it last was by some compilers.
  const unset = /\bvar \w+\s*:[^=;]*;/.exec(body)?.[0];
  if (unset) throw new Error(`elementwise kernel: "${unset}" needs a value to begin with`);
  return `${elementIndex}
@compute @workgroup_size(${WORKGROUP})
fn main(${elementArguments}) {
  let threads = groups.x * groups.y * ${WORKGROUP}u;
  for (var i = elementIndex(group, groups, local); i < u.count; i += threads) {
  ${body}
  }
}`;
}

/**
 * WGSL that runs `body` for at = first, first + step, … below `end`, in this order, `ahead` of them written out in a row, so that as many
 * reads are under way.
 */
export function strided(first: string, end: string, step: string, ahead: number, body: string): string {
  const tail = `for (; next < ${end}; next += ${step}) { let at = next; ${body} }`;
  if (ahead === 1) return `var next = ${first};\n  ${tail}`;
  const all = Array.from({ length: ahead }, (_, i) => `{ let at = next + ${i}u * ${step}; ${body} }`).join('\n    ');
  return `var next = ${first};
  for (; next + ${ahead - 1}u * ${step} < ${end}; next += ${ahead}u * ${step}) {
    ${all}
  }
  ${tail}`;
}

/** Products of the network's kinds, each by the plain micro-kernel and by the one that the table chooses for this adapter, in turns. */

import { HysparkError } from '../errors.ts';
import { PLAIN_TARGET } from '../tape/op.ts';
import { type Bar, clockOf, defineBenchmark, type Table } from './benchmark.ts';
import { caseName, type KernelCase, ROLES, type Role, readyKernel, tunedFor } from './kernel-case.ts';
import { MATRICES, numberIn, REPEATS } from './parameters.ts';
import { ratios, type Spread, spread } from './statistics.ts';

const TELLING: readonly KernelCase[] = [
  { kind: 'conv3', size: 24, edge: 4, inner: 16, columns: 32 },
  { kind: 'matmul', rows: 512, inner: 512, columns: 512 },
];

/** The shapes that dominate a step of the `tiny` preset, and a wide one of the larger presets. */
const OF_A_STEP: readonly KernelCase[] = [
  { kind: 'conv3', size: 48, edge: 16, inner: 12, columns: 6 },
  { kind: 'conv3', size: 48, edge: 16, inner: 6, columns: 6 },
  { kind: 'conv3', size: 24, edge: 8, inner: 24, columns: 12 },
  { kind: 'conv3', size: 12, edge: 4, inner: 48, columns: 24 },
  { kind: 'conv3', size: 6, edge: 2, inner: 96, columns: 48 },
  { kind: 'matmul', rows: 13824, inner: 8, columns: 32 },
];

/** `telling`, `step`, `all`, or a case of one's own; several with commas. */
export function parseCases(text: string): readonly KernelCase[] {
  return text.split(',').flatMap((part): readonly KernelCase[] => {
    const [kind, ...sizes] = part.trim().split(':');
    const listed = { telling: TELLING, step: OF_A_STEP, all: [...TELLING, ...OF_A_STEP] }[kind!];
    if (listed && sizes.length === 0) return listed;
    const [a, b, c, d] = sizes.map((size) => numberIn(size, [1, 65536], true));
    if (kind === 'matmul' && sizes.length === 3) return [{ kind, rows: a!, inner: b!, columns: c! }];
    const wholeBricks = [1, 2, 4, 8, 16].includes(b!) && a! % b! === 0;
    if (kind === 'conv3' && sizes.length === 4 && wholeBricks) {
      return [{ kind, size: a!, edge: b!, inner: c!, columns: d! }];
    }
    throw new HysparkError('bad-argument', {
      doing: 'Parameter',
      got: `"${part}"`,
      need: 'telling, step, all, matmul:ROWS:INNER:COLUMNS or conv3:SIZE:EDGE:INNER:COLUMNS, EDGE a power of two up to 16 that divides SIZE',
    });
  });
}

interface Measured {
  readonly name: string;
  readonly role: Role;
  readonly kernel: string;
  readonly plain: Spread;
  readonly chosen: Spread;
  readonly speedup: Spread;
  /** Default ÷ tuned, on real GPUs. */
  readonly tuned?: Spread;
  readonly flop: number;
  readonly bytes: number;
}

export const KERNELS = defineBenchmark({
  name: 'kernels',
  title: 'Kernels',
  about:
    'Matrix products and 3³ convolutions, forward and both gradients: the plain kernel beside the one chosen for this adapter.',
  parameters: {
    cases: {
      about: 'telling, step, all, matmul:ROWS:INNER:COLUMNS or conv3:SIZE:EDGE:INNER:COLUMNS; several with commas',
      default: 'all',
      parse: parseCases,
    },
    matrices: MATRICES,
    repeats: REPEATS,
  },
  async run({ cases, matrices, repeats }, { device: open, progress }) {
    const device = await open({ subgroupMatrix: matrices === 'on' });
    const rows: Measured[] = [];
    for (const [n, c] of cases.entries()) {
      const doing = caseName(c);
      progress(n, cases.length, `${doing}: comparing`);
      const plain = await readyKernel(device, c, PLAIN_TARGET);
      const chosen = await readyKernel(device, c, device.report);
      const target = await tunedFor(device, c);
      const tuned = target && (await readyKernel(device, c, target));
      const times: Record<Role, number>[][] = [[], [], []];
      for (let i = 0; i < repeats; i++) {
        progress(n + (i + 1) / (repeats + 1), cases.length, `${doing}: timing`);
        times[0]!.push(await plain.time());
        times[1]!.push(await chosen.time());
        if (tuned) times[2]!.push(await tuned.time());
      }
      for (const role of ROLES) {
        const [slow, fast, best] = times.map((list) => list.map((t) => t[role])) as [number[], number[], number[]];
        rows.push({
          name: doing,
          role,
          kernel: chosen.kernelOf(role),
          plain: spread(slow),
          chosen: spread(fast),
          speedup: ratios(slow, fast),
          tuned: tuned && ratios(fast, best),
          flop: plain.flop,
          bytes: plain.bytes,
        });
      }
      plain.destroy();
      chosen.destroy();
      tuned?.destroy();
    }
    return {
      tables: [table(rows)],
      charts: [
        {
          kind: 'bars',
          title: 'GFLOP/s, forward and the two gradients',
          unit: 'GFLOP/s',
          groups: rows.map(({ name, role, flop, plain, chosen }) => ({
            name: `${name}, ${role}`,
            bars: [speed('plain', flop, plain), speed('chosen', flop, chosen)],
          })),
        },
      ],
      notes: [
        `Before timing, 200 values of each result were compared with a float64 loop over the definition (10⁻⁵ of the largest${matrices === 'on' ? ', 2 · 10⁻³ where matrix units rounded factors to f16' : ''}; more for longer sums).`,
        ...(rows.some(({ tuned }) => tuned)
          ? ['Chosen is the default of the table, tuned what measuring chose; about 1 where it chose the default.']
          : []),
        `Times are of rows of launches of some milliseconds, by ${clockOf(device.report)}. GB/s counts each matrix once: the least traffic there can be.`,
      ],
    };
  },
});

/** The fastest run is the most GFLOP/s. */
function speed(series: string, flop: number, { median, low, high }: Spread): Bar {
  return { series, value: flop / median / 1e6, low: flop / high / 1e6, high: flop / low / 1e6 };
}

function table(rows: readonly Measured[]): Table {
  return {
    name: 'products',
    columns: [
      { key: 'name', label: 'product' },
      { key: 'kernel', label: 'chosen kernel' },
      { key: 'plain', label: 'plain', unit: 'ms' },
      { key: 'chosen', label: 'chosen', unit: 'ms' },
      { key: 'gflops', label: 'speed', unit: 'GFLOP/s' },
      { key: 'traffic', label: 'traffic', unit: 'GB/s' },
      { key: 'speedup', label: 'plain ÷ chosen', unit: '×' },
      ...(rows.some(({ tuned }) => tuned) ? [{ key: 'tuned', label: 'chosen ÷ tuned', unit: '×' as const }] : []),
    ],
    rows: rows.map(({ name, role, kernel, plain, chosen, speedup, tuned, flop, bytes }) => ({
      name: `${name}, ${role}`,
      kernel,
      plain,
      chosen,
      gflops: flop / chosen.median / 1e6,
      traffic: bytes / chosen.median / 1e6,
      speedup,
      ...(tuned && { tuned }),
    })),
  };
}

/**
 * A whole training step of a preset: time, JavaScript's part in it, planned memory, where the time goes layer by layer; beside it, in turns, a
 * convolution of the kernel benchmark, which says what this adapter can do.
 */

import { plural } from '../app/text.ts';
import { allVisible, randomMasks } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import { allSavings, type HySparKGraph } from '../models/hyspark/hyspark.ts';
import { adamwSchedule, gradientNorm, keepGradients } from '../ops/adamw.ts';
import { productQuestions } from '../ops/gemm-tuning.ts';
import { FIRST_LOSS_SCALE } from '../ops/loss-scale.ts';
import { tuneInTurn } from '../ops/tune-in-turn.ts';
import { type Question, TUNING_MILLISECONDS, tune } from '../ops/tuner.ts';
import { Random } from '../random.ts';
import { mebibytes } from '../tape/layout.ts';
import { PLAIN_TARGET, type Tuning } from '../tape/op.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { resolveConfig } from '../train/config.ts';
import { type RunNetwork, recordRun } from '../train/network.ts';
import type { RunConfig } from '../train/types.ts';
import { type Column, defineBenchmark, mustBeClose, type Table } from './benchmark.ts';
import { caseName, type KernelCase, readyKernel, tunedFor } from './kernel-case.ts';
import { BATCH, MATRICES, oneOf, PRESET, REPEATS, whole } from './parameters.ts';
import { ratios, type Spread, spread } from './statistics.ts';
import { familiesOf, layersOf, sharesOf } from './step-tables.ts';

/** A convolution that fills the adapter. */
function convolutionFor(device: Device): KernelCase {
  if (device.report.class === 'gpu') return { kind: 'conv3', size: 48, edge: 8, inner: 96, columns: 96 };
  return { kind: 'conv3', size: 24, edge: 4, inner: 16, columns: 32 };
}

/** Steps before the first that counts. */
const WARM_UP = 2;
/**
 * Of the loss, and in L2 of all gradients. In float32 these are usually some 2 · 10⁻⁶ apart; but rounding puts a few values on the other side of a
 * rectifier's edge, and each such counts for a thousandth. Maps of f16 are rounded to 2⁻¹¹, and batch norms enlarge that where hidden bricks are nearly constant. The
 * golden numbers and the op cases compare each tensor; this is to notice a step that is wrong on this adapter.
 */
const TOLERANCES = { float32: { loss: 1e-5, gradients: 2e-2 }, mixed: { loss: 1e-2, gradients: 0.2 } } as const;

type Write = (plan: Plan, graph: HySparKGraph, step: number) => void;

/** What another program's steps are compared by: this table, its first columns, the first row. */
export const WHOLE_STEP = {
  table: 'step',
  columns: [
    { key: 'name', label: 'part' },
    { key: 'time', label: 'time', unit: 'ms' },
    { key: 'crops', label: 'throughput', unit: 'crops/s' },
    { key: 'memory', label: 'memory', unit: 'MiB' },
  ],
} as const satisfies { readonly table: string; readonly columns: readonly Column[] };

/** @param memory at its peak, MiB, where that is known */
export function wholeStep(time: Spread, batch: number, memory?: number): Table['rows'][number] {
  return { name: 'whole step', time, crops: (1000 * batch) / time.median, memory };
}

export const STEP = defineBenchmark({
  name: 'step',
  title: 'Training step',
  about:
    'A whole training step: forward, backward, optimiser. Where its time goes, layer by layer, and what JavaScript takes of it.',
  parameters: {
    preset: PRESET,
    batch: BATCH,
    precision: oneOf(['float32', 'mixed'], 'how maps are stored; mixed needs shader-f16'),
    matrices: MATRICES,
    convolution: oneOf(
      ['chosen', 'direct', 'winograd'],
      'algorithm of 3³ convolutions: chosen as for a run, on a real GPU by measuring; or always the same, where it can be',
    ),
    tuning: whole(
      TUNING_MILLISECONDS,
      [0, 60_000],
      'milliseconds for choosing algorithms and kernels by measuring, on a real GPU; 0 for the defaults',
    ),
    repeats: REPEATS,
  },
  async run(
    { preset, batch, precision, matrices, convolution: algorithm, tuning, repeats },
    { device: open, progress },
  ) {
    const device = await open({ subgroupMatrix: matrices === 'on' });
    const config = resolveConfig({ preset, batch, precision });
    const total = repeats + WARM_UP + 6;
    progress(0, total, 'building the step by plain kernels');
    const savings = algorithm === 'chosen' ? {} : { winograd: algorithm === 'winograd' };
    const record = (names?: Tuning) => recordRun(config, { ...device.report, tuning: names }, savings);
    const network = record(await tuned(device, record, tuning, algorithm === 'chosen'));
    const { variables, model, pass, update } = network;
    const reference = recordReference(network, config);
    await variables.allocate(device, true);
    model.declare.initialise(0);
    if (network.lossScale) variables.write(network.lossScale, Float32Array.of(FIRST_LOSS_SCALE, 0));
    const write = inputs(network, config);
    const expected = await resultsOf(device, network, reference, write);
    progress(3, total, 'building the step');
    const plan = await compile(device, pass.tape, variables);
    const convolutionCase = convolutionFor(device);
    const convolution = await readyKernel(
      device,
      convolutionCase,
      (await tunedFor(device, convolutionCase)) ?? device.report,
    );
    const full: Write = (p, graph, step) => {
      write(p, graph, step);
      p.write(update.schedule, adamwSchedule(step + 1, 1e-4, 0.04));
    };
    full(plan, pass.graph, 0);
    progress(5, total, 'comparing');
    const [[loss], norm] = (await plan.step()) as [Float32Array, Float32Array];
    const tolerances = TOLERANCES[precision];
    mustBeClose('the loss', Math.abs(loss! / expected.loss - 1), tolerances.loss);
    const scale = network.lossScale ? norm[2]! : 1; // that the loss was multiplied by
    const gradients = (await gradientsOf(network, plan)).map((chunk) => chunk.map((value) => value / scale));
    const difference = relative(gradients, expected.gradients);
    mustBeClose('the gradients', difference, tolerances.gradients);

    const parts = { write: [] as number[], submit: [] as number[], record: [] as number[] };
    const [times, speeds]: [number[], number[]] = [[], []];
    // As the convolution beside it is counted: what is computed, not how.
    const flop = flopOf(recordRun(config, device.report, { winograd: false }).pass.tape);
    for (let step = 0; step < WARM_UP + repeats; step++) {
      progress(6 + step, total, step < WARM_UP ? 'warming up' : 'timing');
      const start = performance.now();
      full(plan, pass.graph, step + 1);
      const written = performance.now();
      const pending = plan.step();
      const submitted = performance.now();
      await pending;
      const milliseconds = performance.now() - start;
      // A shared machine's speed drifts: step and convolution take turns.
      const { forward } = await convolution.time();
      if (step < WARM_UP) continue;
      times.push(milliseconds);
      parts.write.push(written - start);
      parts.submit.push(submitted - written);
      parts.record.push(plan.recordingMilliseconds);
      speeds.push(convolution.flop / forward / 1e6);
    }
    convolution.destroy();
    const profiled = device.report.features.includes('timestamp-query') ? await plan.profile() : [];
    const { bytes, dispatches } = plan.layout;
    const submissions = plan.submissionsPerStep;
    plan.destroy();
    variables.destroy();

    const step = spread(times);
    const own = times.map((ms) => flop / ms / 1e6);
    const part = (name: string, list: readonly number[]) => {
      const time = spread(list);
      return { name, time, share: (100 * time.median) / step.median };
    };
    const layers = layersOf(profiled);
    return {
      tables: [
        {
          name: WHOLE_STEP.table,
          columns: [
            ...WHOLE_STEP.columns,
            { key: 'share', label: 'of the step', unit: '%' },
            { key: 'gflops', label: 'speed', unit: 'GFLOP/s' },
            { key: 'efficiency', label: 'of the convolution', unit: '%' },
          ],
          rows: [
            {
              ...wholeStep(step, batch, bytes.peak / 2 ** 20),
              share: 100,
              gflops: flop / step.median / 1e6,
              efficiency: percent(ratios(own, speeds)),
            },
            part('JavaScript: writing inputs', parts.write),
            part('JavaScript: submitting', parts.submit),
            part('JavaScript: recording ahead', parts.record),
            { name: `${caseName(convolutionCase)}, forward`, gflops: spread(speeds).median },
          ],
        },
        ...(profiled.length > 0 ? [layers, familiesOf(profiled)] : []),
      ],
      charts: profiled.length > 0 ? [sharesOf(layers)] : [],
      notes: [
        `Before timing, loss (${tolerances.loss}) and all gradients (in L2; found ${difference.toExponential(1)}, allowed ${tolerances.gradients}, as rectifiers flip) were compared with the same step in float32 by plain kernels without savings.`,
        `${gigaflop(flop)} GFLOP with convolutions as sums over taps, by which the speed is counted (${gigaflop(flopOf(pass.tape))} with those that Winograd’s algorithm leaves, ${gigaflop(flopOf(reference.tape))} as the reference computes it), in ${dispatches.length} launches and ${plural(submissions, 'submission')}; ${mebibytes(bytes.peak)} planned, ${mebibytes(bytes.activations)} of it activations.`,
        'A step is timed from writing its inputs to its loss in JavaScript. Recording ahead overlaps the GPU’s work.',
        profiled.length > 0
          ? 'Layers and kernels are of one step with timestamps around each launch, which takes a little longer; their speed counts what they launch.'
          : 'No table of layers: the device has no timestamps.',
      ],
    };
  },
});

const gigaflop = (flop: number) => (flop / 1e9).toPrecision(3);

function flopOf({ dispatches }: Tape): number {
  return dispatches.reduce((sum, { launch }) => sum + (launch.flops ?? 0), 0);
}

/** What a run on a real GPU would choose by measuring. @param algorithms whether those of convolutions, too */
async function tuned(
  device: Device,
  record: (tuning: Tuning) => RunNetwork,
  milliseconds: number,
  algorithms: boolean,
): Promise<Tuning | undefined> {
  if (device.report.class !== 'gpu' || milliseconds === 0) return undefined;
  const deadline = performance.now() + milliseconds;
  const tapesFor = (tuning: Tuning) => [record(tuning).pass.tape];
  const measure = (questions: readonly Question[], share: number) =>
    tune(device, questions, { milliseconds: share * (deadline - performance.now()) });
  return algorithms
    ? tuneInTurn(device.report, tapesFor, measure)
    : measure(productQuestions(device.report, tapesFor({})), 1);
}

/** The same pass as the reference composes it, by plain kernels, on the same variables. */
function recordReference({ model, variables }: RunNetwork, { batch, clip }: RunConfig) {
  const tape = new Tape(PLAIN_TARGET);
  const graph = model.graph(tape, { batch, training: true, savings: allSavings(false) });
  tape.report(graph.loss);
  keepGradients(tape, tape.backward(graph.loss), variables);
  tape.report(gradientNorm(tape, variables.chunks(), clip));
  return { tape, graph };
}

/** What a run hands to a step: the crops and the step's masks are ready, the table of all bricks never changes. */
function inputs({ model: { grid }, pass }: RunNetwork, { batch, model }: RunConfig): Write {
  const random = Random.of('bench', 'volume');
  const volume = Float32Array.from({ length: pass.graph.volume.size }, (_, i) => random.uniform(i));
  return (plan, graph, step) => {
    if (step === 0) writeBrickTable(plan, graph.all, brickTableData(grid, allVisible(batch, grid.cells)));
    plan.write(graph.volume, volume);
    const masks = randomMasks(0, step, batch, grid.cells, model.maskRatio);
    writeBrickTable(plan, graph.visible, brickTableData(grid, masks));
  };
}

async function resultsOf(
  device: Device,
  network: RunNetwork,
  { tape, graph }: ReturnType<typeof recordReference>,
  write: Write,
) {
  const plan = await compile(device, tape, network.variables);
  write(plan, graph, 0);
  const [[loss]] = (await plan.step()) as [Float32Array];
  const gradients = await gradientsOf(network, plan);
  plan.destroy();
  return { loss: loss!, gradients };
}

async function gradientsOf({ variables }: RunNetwork, plan: Plan): Promise<Float32Array[]> {
  const chunks: Float32Array[] = [];
  for (const { gradients } of variables.chunks()) chunks.push(await plan.read(gradients));
  return chunks;
}

function relative(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  let [difference, size] = [0, 0];
  b.forEach((chunk, c) => {
    chunk.forEach((value, i) => {
      difference += (value - a[c]![i]!) ** 2;
      size += value ** 2;
    });
  });
  return Math.sqrt(difference / size);
}

function percent({ median, low, high, count }: Spread): Spread {
  return { median: 100 * median, low: 100 * low, high: 100 * high, count };
}

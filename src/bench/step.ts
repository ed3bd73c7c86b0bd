/**
 * The step benchmark: a whole training step of a preset, its JavaScript share, its planned memory, and where the time goes layer by
 * layer; beside it, in the same run, the convolution that the kernel benchmark calls its own.
 */

import { allVisible, randomMasks } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { PresetName } from '../models/hyspark/config.ts';
import { adamwSchedule } from '../ops/adamw.ts';
import { Random } from '../random.ts';
import { compile } from '../tape/plan.ts';
import { resolveConfig } from '../train/config.ts';
import { recordRun } from '../train/network.ts';
import { caseName, type KernelCase, readyKernel } from './kernels.ts';
import { type Spread, spread } from './statistics.ts';

export interface LayerTime {
  readonly layer: string;
  readonly milliseconds: number;
  readonly share: number;
  readonly gflops: number;
}

export interface StepResult {
  readonly preset: PresetName;
  readonly batch: number;
  readonly milliseconds: Spread;
  /** Of JavaScript, milliseconds: from writing the inputs to the last submit, and recording the next step's commands. */
  readonly javascript: Spread;
  readonly cropsPerSecond: number;
  readonly gflop: number;
  readonly gflops: number;
  /** The reference convolution, forward, run in turns with the steps. */
  readonly convolution: { readonly case: string; readonly gflops: number };
  /** Step's GFLOP/s / the convolution's just after it. */
  readonly efficiency: Spread;
  readonly bytes: { readonly peak: number; readonly activations: number };
  readonly dispatches: number;
  readonly submissions: number;
  /** Empty where the device has no timestamps. */
  readonly layers: readonly LayerTime[];
  readonly kernels: readonly LayerTime[];
}

const CONVOLUTION: KernelCase = { kind: 'conv3', size: 24, edge: 4, inner: 16, columns: 32 };

export async function benchStep(
  device: Device,
  preset: PresetName,
  batch: number,
  repeats: number,
): Promise<StepResult> {
  const config = resolveConfig({ preset, batch });
  const { variables, model, pass, update } = recordRun(config, device.report);
  const { tape, graph } = pass;
  const { schedule } = update;
  await variables.allocate(device, true);
  model.declare.initialise(0);
  const plan = await compile(device, tape, variables);
  const { grid } = model;
  const voxels = Random.of('bench', 'volume');
  const volume = Float32Array.from({ length: graph.volume.size }, (_, i) => voxels.uniform(i));
  // What a run hands to a step: the crops and the step's masks are ready, the table of all bricks never changes.
  writeBrickTable(plan, graph.all, brickTableData(grid, allVisible(batch, grid.cells)));
  const write = (step: number) => {
    plan.write(graph.volume, volume);
    writeBrickTable(
      plan,
      graph.visible,
      brickTableData(grid, randomMasks(0, step, batch, grid.cells, config.model.maskRatio)),
    );
    plan.write(schedule, adamwSchedule(step + 1, 1e-4, 0.04));
  };
  const flop = tape.dispatches.reduce((sum, { launch }) => sum + (launch.flops ?? 0), 0);
  const convolution = await readyKernel(device, CONVOLUTION, device.report);
  const [times, javascript, convolutions, efficiencies]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let step = -2; step < repeats; step++) {
    const start = performance.now();
    write(step + 2);
    const pending = plan.step();
    const submitted = performance.now();
    await pending;
    const milliseconds = performance.now() - start;
    // A shared machine's speed drifts: step and convolution take turns.
    const { forward } = await convolution.time();
    if (step < 0) continue; // warming up
    times.push(milliseconds);
    javascript.push(submitted - start + plan.recordingMilliseconds);
    convolutions.push(convolution.flop / forward / 1e6);
    efficiencies.push(flop / milliseconds / 1e6 / convolutions.at(-1)!);
  }
  convolution.destroy();
  const profiled = device.report.features.includes('timestamp-query') ? await plan.profile() : [];
  const milliseconds = spread(times);
  const result: StepResult = {
    preset,
    batch,
    milliseconds,
    javascript: spread(javascript),
    cropsPerSecond: (1000 * batch) / milliseconds.median,
    gflop: flop / 1e9,
    gflops: flop / milliseconds.median / 1e6,
    convolution: { case: caseName(CONVOLUTION), gflops: spread(convolutions).median },
    efficiency: spread(efficiencies),
    bytes: { peak: plan.layout.bytes.peak, activations: plan.layout.bytes.activations },
    dispatches: plan.layout.dispatches.length,
    submissions: plan.submissionsPerStep,
    layers: table(
      profiled,
      ({ label, backward }) =>
        `${label
          .split('/')
          .slice(0, 2)
          .join('/')
          .replace(/\/d?[a-z]\w*$/i, '')}${backward ? ' (backward)' : ''}`,
    ),
    kernels: table(profiled, ({ kernel }) => kernel.id.replace(/\(.*/, '')),
  };
  plan.destroy();
  variables.destroy();
  return result;
}

type Profile = Awaited<ReturnType<Awaited<ReturnType<typeof compile>>['profile']>>;

function table(profiled: Profile, name: (dispatch: Profile[number]['dispatch']) => string): LayerTime[] {
  const total = profiled.reduce((sum, p) => sum + p.nanoseconds, 0);
  const groups = new Map<string, { nanoseconds: number; flop: number }>();
  for (const { dispatch, nanoseconds } of profiled) {
    const key = name(dispatch);
    const group = groups.get(key) ?? { nanoseconds: 0, flop: 0 };
    groups.set(key, { nanoseconds: group.nanoseconds + nanoseconds, flop: group.flop + (dispatch.launch.flops ?? 0) });
  }
  return [...groups]
    .map(([layer, { nanoseconds, flop }]) => ({
      layer,
      milliseconds: nanoseconds / 1e6,
      share: nanoseconds / total,
      gflops: flop / nanoseconds,
    }))
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

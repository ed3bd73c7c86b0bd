/** What a training step is planned to take, by arithmetic; and for the smallest network what was really taken, with a step to prove it. */

import { allVisible, randomMasks } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';
import { adamwSchedule } from '../ops/adamw.ts';
import { Random } from '../random.ts';
import { compile } from '../tape/plan.ts';
import { resolveConfig } from '../train/config.ts';
import { planRun, recordRun } from '../train/network.ts';
import { defineBenchmark, mustBeClose, type Table } from './benchmark.ts';
import { numbers, oneOf, someOf } from './parameters.ts';

const PRESETS = ['tiny', 'small', 'base'] as const;
const MIB = 2 ** 20;

export const MEMORY = defineBenchmark({
  name: 'memory',
  title: 'Memory',
  about:
    'Planned bytes of each preset and batch, with activations kept or recomputed, and a real allocation beside its plan.',
  parameters: {
    presets: someOf(PRESETS, PRESETS, 'networks, with commas'),
    batches: numbers([1, 2, 4, 8], [1, 64], true, 'crops a step, with commas'),
    allocate: oneOf(['tiny', 'small', 'base', 'none'], 'network that is really allocated and makes a step'),
  },
  async run({ presets, batches, allocate }, { device: open, progress }) {
    const device = await open();
    const cases = presets.flatMap((preset) => batches.map((batch) => ({ preset, batch })));
    const of = cases.length + (allocate === 'none' ? 0 : 4);
    const rows = cases.map(({ preset, batch }, n) => {
      progress(n, of, `planning ${preset}, batch ${batch}`);
      const { bytes, recomputePeak, flops, fits, reason } = planRun(resolveConfig({ preset, batch }), device.report);
      return {
        name: `${preset}, batch ${batch}`,
        variables: bytes.variables / MIB,
        activations: bytes.activations / MIB,
        peak: bytes.peak / MIB,
        recomputed: recomputePeak! / MIB,
        saved: bytes.peak / recomputePeak!,
        flop: flops / 1e9,
        fits: fits ? 'yes' : `no: ${reason!.replace(/^Planning memory: |\. Choose.*$/g, '')}`,
      };
    });
    const taken = [];
    if (allocate !== 'none') {
      for (const recompute of [false, true]) {
        progress(cases.length + (recompute ? 2 : 0), of, `allocating ${allocate}${recompute ? ', recomputed' : ''}`);
        taken.push({ recompute, ...(await allocateAndStep(device, allocate, recompute)) });
      }
      if (taken[0]!.loss !== taken[1]!.loss) {
        throw new HysparkError('gpu-validation', {
          doing: 'Comparing a step that recomputes activations with one that keeps them',
          got: `losses ${taken[1]!.loss} and ${taken[0]!.loss}`,
          need: 'the same bits',
        });
      }
    }
    const planned: Table = {
      name: 'planned',
      columns: [
        { key: 'name', label: 'network' },
        { key: 'variables', label: 'variables', unit: 'MiB' },
        { key: 'activations', label: 'activations', unit: 'MiB' },
        { key: 'peak', label: 'run in all', unit: 'MiB' },
        { key: 'recomputed', label: 'recomputed', unit: 'MiB' },
        { key: 'saved', label: 'kept ÷ recomputed', unit: '×' },
        { key: 'flop', label: 'work', unit: 'GFLOP' },
        { key: 'fits', label: 'fits the limits' },
      ],
      rows,
    };
    const allocated: Table = {
      name: 'allocated',
      columns: [
        { key: 'name', label: 'network' },
        { key: 'planned', label: 'step planned', unit: 'MiB' },
        { key: 'taken', label: 'taken', unit: 'MiB' },
        { key: 'ratio', label: 'taken ÷ planned', unit: '×' },
      ],
      rows: taken.map(({ recompute, planned: plan, bytes }) => ({
        name: `${allocate}, batch 1${recompute ? ', recomputed' : ''}`,
        planned: plan / MIB,
        taken: bytes / MIB,
        ratio: bytes / plan,
      })),
    };
    return {
      tables: allocate === 'none' ? [planned] : [planned, allocated],
      charts: [
        {
          kind: 'bars',
          title: 'Planned memory of a run, MiB',
          unit: 'MiB',
          groups: rows.map(({ name, peak, recomputed }) => ({
            name,
            bars: [
              { series: 'activations kept', value: peak },
              { series: 'recomputed', value: recomputed },
            ],
          })),
        },
      ],
      notes: [
        'A run in all: parameters, gradients and moments, the activations and inputs of a step, and of a crop that is judged.',
        ...(allocate === 'none'
          ? []
          : [
              'Taken are the bytes of every buffer that was created, compared with the plan (5 %); the loss of a step is finite, and has the same bits when activations are recomputed.',
            ]),
        'WebGPU does not say how much memory there is: “fits the limits” is about the largest buffer and binding that the adapter allows.',
      ],
    };
  },
});

async function allocateAndStep(device: Device, preset: (typeof PRESETS)[number], recompute: boolean) {
  const config = resolveConfig({ preset, batch: 1, recompute });
  const { variables, model, pass, update } = recordRun(config, device.report);
  const before = device.counters.bytes;
  await variables.allocate(device, true);
  model.declare.initialise(0);
  const plan = await compile(device, pass.tape, variables, { recompute });
  const bytes = device.counters.bytes - before;
  try {
    const { grid } = model;
    const random = Random.of('bench', 'volume');
    plan.write(
      pass.graph.volume,
      Float32Array.from({ length: pass.graph.volume.size }, (_, i) => random.uniform(i)),
    );
    writeBrickTable(plan, pass.graph.all, brickTableData(grid, allVisible(1, grid.cells)));
    const masks = randomMasks(0, 0, 1, grid.cells, config.model.maskRatio);
    writeBrickTable(plan, pass.graph.visible, brickTableData(grid, masks));
    plan.write(update.schedule, adamwSchedule(1, 1e-4, 0.04));
    const [[loss]] = (await plan.step()) as [Float32Array];
    if (!Number.isFinite(loss)) {
      throw new HysparkError('not-finite', { doing: `A step of ${preset}`, got: `the loss ${loss}` });
    }
    const planned = plan.layout.bytes.peak;
    mustBeClose(`the memory of ${preset}`, Math.abs(bytes / planned - 1), 0.05);
    return { planned, bytes, loss };
  } finally {
    plan.destroy();
    variables.destroy();
  }
}

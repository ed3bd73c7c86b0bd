/** `hyspark devices`: the adapters of this machine, and what fits on each. */

import { Command } from 'commander';
import { F16 } from '../../gpu/adapter.ts';
import { NAMED_ADAPTERS } from '../../gpu/dawn.ts';
import { openDevice } from '../../gpu/device.ts';
import { PRESETS, type PresetName } from '../../models/hyspark/config.ts';
import { resolveConfig } from '../../train/config.ts';
import { planRun } from '../../train/network.ts';
import type { AdapterReport, PlanReport, RunOptions } from '../../worker/protocol.ts';

const BATCHES = [1, 2, 4, 8];

interface Row {
  readonly preset: PresetName;
  readonly batch: number;
  readonly plan: PlanReport;
  /** In mixed precision, where the adapter can. */
  readonly mixed?: PlanReport;
}

export function devicesCommand(): Command {
  return new Command('devices')
    .description('list the adapter, its limits, and the memory that each preset and batch is planned to take')
    .option(
      '--adapter <name>',
      `${NAMED_ADAPTERS.join(' or ')} instead of the first adapter`,
      process.env.HYSPARK_ADAPTER,
    )
    .option('--json', 'print JSON')
    .action(async ({ adapter, json }: { adapter?: string; json?: boolean }) => {
      const device = await openDevice({ adapter: adapter || undefined });
      try {
        const { report } = device;
        const planned = (options: RunOptions) => planRun(resolveConfig(options), report);
        const canMix = report.features.includes(F16);
        const rows = (Object.keys(PRESETS) as PresetName[]).flatMap((preset) =>
          BATCHES.map((batch): Row => {
            const mixed = canMix ? planned({ preset, batch, precision: 'mixed' }) : undefined;
            return { preset, batch, plan: planned({ preset, batch }), mixed };
          }),
        );
        const others = NAMED_ADAPTERS.filter((name) => name !== adapter);
        console.log(json ? JSON.stringify({ adapter: report, presets: rows }, null, 2) : table(report, rows, others));
      } finally {
        device.dispose();
      }
    });
}

function table(report: AdapterReport, rows: readonly Row[], others: readonly string[]): string {
  const { name, limits, features, subgroupSize } = report;
  const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`.padStart(10);
  const lines = [
    `${name} (${report.class})`,
    `  largest buffer ${size(limits.maxBufferSize).trim()}, largest binding ${size(limits.maxStorageBufferBindingSize).trim()}`,
    `  features: ${features.join(', ') || 'none of those used'}${subgroupSize ? `; subgroups of ${subgroupSize}` : ''}`,
    '',
    'preset  batch     memory  recompute      mixed  GFLOP/step  fits the limits',
    ...rows.map(({ preset, batch, plan, mixed }) =>
      [
        preset.padEnd(6),
        String(batch).padStart(6),
        size(plan.bytes.peak),
        size(plan.recomputePeak ?? plan.bytes.peak),
        mixed ? size(mixed.bytes.peak) : 'no'.padStart(10),
        (plan.flops / 1e9).toFixed(1).padStart(11),
        plan.fits ? ' yes' : ` no: ${plan.reason!.replace(/^Planning memory: |\. Choose.*$/g, '')}`,
      ].join(' '),
    ),
    '',
    'Mixed precision needs the feature shader-f16; it can be recomputed too.',
    `Memory is what a run plans to take; WebGPU does not say how much there is. Other adapters: --adapter ${others.join(' or ')}.`,
  ];
  return lines.join('\n');
}

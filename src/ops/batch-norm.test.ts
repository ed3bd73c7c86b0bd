import { expect, test } from 'vitest';
import { compile } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { testDevice } from '../testing/device.ts';
import { batchNorm } from './batch-norm.ts';

test.each(['one after the other', 'in a tree'])(
  'running statistics do not move where the batch’s are not finite: merged %s',
  async (merged) => {
    const device = await testDevice();
    const variables = new Variables();
    const of = (name: string) => variables.parameter(name, [5]);
    const states = {
      runningMean: variables.state('mean', [5]),
      runningVariance: variables.state('variance', [5]),
    };
    const tape = new Tape({ class: merged === 'in a tree' ? 'gpu' : 'software', subgroupSize: 0 });
    const x = tape.input('x', [600, 5]);
    const y = batchNorm(tape, { x, gamma: of('gamma'), beta: of('beta'), ...states }, { training: true, relu: false });
    tape.output(y);
    await variables.allocate(device, false);
    const before = [Float32Array.of(1, 2, 3, 4, 5), Float32Array.of(6, 7, 8, 9, 10)] as const;
    variables.write(states.runningMean, before[0]);
    variables.write(states.runningVariance, before[1]);
    const plan = await compile(device, tape, variables);
    const { NaN: none, POSITIVE_INFINITY: infinite } = Number;
    /** Of each channel, first in the first row, in a middle one, and where only the variance overflows. */
    const values = (row: number) => [row % 2, row === 0 ? infinite : 0, row === 300 ? -infinite : 0, none, row * 1e30];
    plan.write(
      x,
      Float32Array.from({ length: 3000 }, (_, i) => values(Math.floor(i / 5))[i % 5]!),
    );
    await plan.step();
    const mean = await variables.read(states.runningMean);
    const variance = await variables.read(states.runningVariance);
    expect(mean[0]).toBeCloseTo(0.9 * 1 + 0.1 * 0.5, 5);
    expect(variance[0]).toBeCloseTo(0.9 * 6 + (0.1 * 0.25 * 600) / 599, 5);
    expect([mean.slice(1), variance.slice(1)]).toEqual([before[0].slice(1), before[1].slice(1)]);
    plan.destroy();
    variables.destroy();
  },
);

import { Tensor } from '../tape/tensor.ts';
import { defineCases, type Values } from '../testing/op-cases.ts';
import { eachChild } from '../testing/oracles.ts';
import { maxPool } from './max-pool.ts';

interface Sizes {
  readonly bricks: number;
  readonly edge: number; // of the pooled map
  readonly channels: number;
}

function sample(name: string, bricks: number, edge: number, channels: number, ties = false) {
  const value = ties ? (draw: number) => Math.round(draw) : undefined;
  return {
    name,
    inputs: { x: { shape: [bricks, (2 * edge) ** 3, channels], value } },
    attributes: { bricks, edge, channels },
  };
}

/** Index in x of the first child that has the maximum, for each result. */
function winners({ x }: Values, { bricks, edge, channels }: Sizes): Int32Array {
  const best = new Int32Array(bricks * edge ** 3 * channels).fill(-1);
  eachChild(bricks, edge, (row, child) => {
    for (let c = 0; c < channels; c++) {
      const at = row * channels + c;
      const from = child * channels + c;
      if (best[at]! < 0 || x![from]! > x![best[at]!]!) best[at] = from;
    }
  });
  return best;
}

export const maxPoolCases = defineCases<Sizes>({
  op: 'maxPool',
  samples: [
    sample('edge 4 to 2, odd channels', 3, 2, 5),
    sample('edge 2 to 1', 7, 1, 3),
    sample('edge 16 to 8', 2, 8, 4),
  ],
  record: (tape, { x }) => maxPool(tape, { x: x! }, undefined),
  forward: (inputs, sizes) => ({ y: Float64Array.from(winners(inputs, sizes), (i) => inputs.x![i]!) }),
  backward(inputs, sizes, dy) {
    const dx = new Float64Array(inputs.x!.length);
    winners(inputs, sizes).forEach((from, i) => {
      dx[from]! += dy[i]!;
    });
    return { x: dx };
  },
  wrong: [
    {
      name: 'nothing left to pool',
      record: (tape) => maxPool(tape, { x: new Tensor('t', [4, 1, 8], 'f32', 'input', false) }, undefined),
      message: /maxPool: argument "x": got bricks of 1 voxel a side, need at least 2/,
    },
  ],
});

/** Rounded values tie; central differences mean nothing there, so ties are compared with the loop alone. */
export const maxPoolTies = defineCases<Sizes>({
  ...maxPoolCases,
  op: 'maxPool with ties',
  samples: [sample('rounded values', 3, 2, 4, true)],
  wrong: [],
  kinked: true,
});

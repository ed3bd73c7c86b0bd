import { expect, test } from 'vitest';
import { BrickGrid } from '../bricks/grid.ts';
import { brickTable } from '../bricks/table.ts';
import { Declarations } from '../nn/declare.ts';
import { Conv3 } from '../nn/layers.ts';
import type { Target, Tuning } from '../tape/op.ts';
import { Tape } from '../tape/tape.ts';
import { Variables } from '../tape/variables.ts';
import { sum } from './sum.ts';
import { tuneInTurn } from './tune-in-turn.ts';

test('algorithms are asked about in half of the time, then the products that are left', async () => {
  const gpu: Target = { class: 'gpu', subgroupSize: 0 };
  const given: Tuning[] = [];
  const tapesFor = (tuning: Tuning) => {
    given.push(tuning);
    const tape = new Tape({ ...gpu, tuning });
    const grid = new BrickGrid(2, 2, 2);
    const table = brickTable(tape, 'all', grid, 1, grid.cells);
    const layer = new Conv3(new Declarations(new Variables()), 'layer', 12, 12);
    tape.backward(sum(tape, { x: layer.apply(tape, tape.input('x', [grid.cells, 64, 12]), table) }, {}));
    return [tape];
  };
  const asked: [string[], number][] = [];
  const tuning = await tuneInTurn(gpu, tapesFor, async (questions, share) => {
    asked.push([questions.map(({ key }) => key), share]);
    return Object.fromEntries(questions.map(({ key, candidates }) => [key, candidates[1]!.name]));
  });
  const [convolution, products] = asked.map(([keys]) => keys);
  expect(asked.map(([, share]) => share)).toEqual([0.5, 1]);
  expect(convolution).toEqual(['convolution rows=512 inner=12 columns=12 edge=4']);
  // The weight's gradient has too few rows for a choice.
  expect(products).toEqual([expect.stringMatching(/^product addressing=batches144 rows=16 inner=12/)]);
  expect(given).toEqual([{}, { [convolution![0]!]: 'winograd 2x4x4' }]);
  expect(Object.keys(tuning)).toEqual([...convolution!, ...products!]);
});

/**
 * The brick table: which bricks are present, slot by slot, and each slot's neighbours. Sparse is a shorter list of bricks,
 * dense is the full list. Built on the CPU each step and uploaded; the number of slots is fixed by the mask ratio, so
 * every shape is known before the first step.
 */

import { HysparkError } from '../errors.ts';
import type { Plan } from '../tape/plan.ts';
import type { Tape } from '../tape/tape.ts';
import type { Tensor } from '../tape/tensor.ts';
import type { BrickGrid } from './grid.ts';

/** "No brick here" in `neighbours` and `slots`. */
export const NONE = 0xffffffff;

/** A table's values for one step. */
export interface BrickTableData {
  /** [bricks, 27]: slot of the brick at offset (dx, dy, dz) ∈ {−1, 0, 1}³, entry (dx+1)·9 + (dy+1)·3 + (dz+1), or NONE. */
  readonly neighbours: Uint32Array;
  /** [bricks]: sample · cells + cell of each slot; ascending, so a sample's slots are contiguous. */
  readonly cells: Uint32Array;
  /** [batch · cells]: slot of each cell, or NONE where hidden. */
  readonly slots: Uint32Array;
}

/** A table on a tape: the tensors that kernels read. A value passed to operations. */
export interface BrickTable {
  readonly grid: BrickGrid;
  readonly batch: number;
  /** Bricks present in each sample. */
  readonly perSample: number;
  /** Bricks present in the batch: the first axis of every feature map on this table. */
  readonly bricks: number;
  readonly neighbours: Tensor;
  readonly cells: Tensor;
  readonly slots: Tensor;
}

/** Declares a table as inputs of a tape. Throws when the visible set would be empty or larger than the grid. */
export function brickTable(tape: Tape, name: string, grid: BrickGrid, batch: number, perSample: number): BrickTable {
  if (
    !(Number.isInteger(batch) && batch >= 1 && Number.isInteger(perSample) && perSample >= 1 && perSample <= grid.cells)
  ) {
    throw new HysparkError('bad-argument', {
      doing: `Brick table "${name}"`,
      got: `${perSample} of ${grid.cells} bricks in each of ${batch} samples`,
      need: 'at least one sample and, in each, one visible brick and no more than the grid has',
    });
  }
  const bricks = batch * perSample;
  return {
    grid,
    batch,
    perSample,
    bricks,
    neighbours: tape.input(`${name}.neighbours`, [bricks, 27], 'u32'),
    cells: tape.input(`${name}.cells`, [bricks], 'u32'),
    slots: tape.input(`${name}.slots`, [batch * grid.cells], 'u32'),
  };
}

/** @param visible each sample's visible cells, ascending. Throws on an empty, unsorted or out-of-range list. */
export function brickTableData(grid: BrickGrid, visible: readonly Uint32Array[]): BrickTableData {
  const { x, y, z, cells: perGrid } = grid;
  const total = visible.reduce((sum, list) => sum + list.length, 0);
  const cells = new Uint32Array(total);
  const slots = new Uint32Array(visible.length * perGrid).fill(NONE);
  let slot = 0;
  visible.forEach((list, sample) => {
    if (list.length === 0 || list.some((cell, i) => cell >= perGrid || (i > 0 && cell <= list[i - 1]!))) {
      throw new HysparkError('bad-argument', {
        doing: `Visible patches of sample ${sample}`,
        got: list.length === 0 ? 'none' : `[${list.slice(0, 8).join(', ')}${list.length > 8 ? ', …' : ''}]`,
        need: `at least one, ascending, below ${perGrid}`,
      });
    }
    for (const cell of list) {
      cells[slot] = sample * perGrid + cell;
      slots[sample * perGrid + cell] = slot++;
    }
  });
  const neighbours = new Uint32Array(total * 27).fill(NONE);
  cells.forEach((global, s) => {
    const cell = global % perGrid;
    const base = global - cell;
    const [i, j, k] = [Math.floor(cell / (y * z)), Math.floor(cell / z) % y, cell % z];
    for (let n = 0; n < 27; n++) {
      const [a, b, c] = [i + Math.floor(n / 9) - 1, j + (Math.floor(n / 3) % 3) - 1, k + (n % 3) - 1];
      if (a < 0 || a >= x || b < 0 || b >= y || c < 0 || c >= z) continue;
      neighbours[s * 27 + n] = slots[base + (a * y + b) * z + c]!;
    }
  });
  return { neighbours, cells, slots };
}

/** Uploads a table's values for the coming steps. Throws `bad-shape` when their count differs from the declared one. */
export function writeBrickTable(plan: Plan, table: BrickTable, data: BrickTableData): void {
  plan.write(table.neighbours, data.neighbours);
  plan.write(table.cells, data.cells);
  plan.write(table.slots, data.slots);
}

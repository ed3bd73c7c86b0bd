/** A model that looks at single crops: the loss under a mask, and what it makes of the hidden patches. */

import { PATCH } from '../bricks/grid.ts';
import { allVisible } from '../bricks/mask.ts';
import { brickTableData, writeBrickTable } from '../bricks/table.ts';
import type { Device } from '../gpu/device.ts';
import type { HySparK, HySparKGraph } from '../models/hyspark/hyspark.ts';
import { unpatch } from '../ops/unpatch.ts';
import { compile, type Plan } from '../tape/plan.ts';
import { Tape } from '../tape/tape.ts';
import type { Precision, Tensor } from '../tape/tensor.ts';

export type Volume = Float32Array<ArrayBuffer>;

export interface Look {
  readonly loss: number;
  /** The crop with NaN where it is hidden. */
  readonly masked: Volume;
  /** The crop where visible; elsewhere the prediction, in the crop's own mean and deviation of each patch. */
  readonly reconstructed: Volume;
}

/** The tape of one crop: running statistics, no gradients. */
export interface ViewerTape {
  readonly tape: Tape;
  readonly graph: HySparKGraph;
  readonly restored: Tensor;
}

export function recordViewer(model: HySparK, target: Tape['target'], precision?: Precision): ViewerTape {
  const tape = new Tape(target, precision);
  // Its memory is beside that of training: no scratch space for speed.
  const graph = model.graph(tape, { batch: 1, training: false, savings: { winograd: false } });
  tape.report(graph.loss);
  const { reconstruction, image, visible } = graph;
  return { tape, graph, restored: tape.output(unpatch(tape, { prediction: reconstruction, image }, { visible })) };
}

export class Viewer {
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly model: HySparK,
    private readonly recorded: ViewerTape,
    private readonly plan: Plan,
  ) {}

  /** On the model's variables, which must have memory. */
  static async create(device: Device, model: HySparK, recorded = recordViewer(model, device.report)): Promise<Viewer> {
    return new Viewer(model, recorded, await compile(device, recorded.tape, model.declare.variables));
  }

  /**
   * The loss of one crop.
   * @param volume [crop, crop, crop], 0..1
   * @param visible cells, ascending
   */
  loss(volume: Float32Array, visible: Uint32Array): Promise<number> {
    return this.alone(() => this.step(volume, visible));
  }

  look(volume: Float32Array, visible: Uint32Array): Promise<Look> {
    return this.alone(async () => {
      const loss = await this.step(volume, visible);
      const bricks = await this.plan.read(this.recorded.restored);
      const { crop } = this.model.config;
      return { loss, masked: hide(volume, crop, visible), reconstructed: fromBricks(bricks, crop) };
    });
  }

  /** Waits until nobody is looking. */
  async idle(): Promise<void> {
    await this.last.catch(() => undefined);
  }

  destroy(): void {
    this.plan.destroy();
  }

  private async step(volume: Float32Array, visible: Uint32Array): Promise<number> {
    const { grid } = this.model;
    const { graph } = this.recorded;
    writeBrickTable(this.plan, graph.visible, brickTableData(grid, [visible]));
    writeBrickTable(this.plan, graph.all, brickTableData(grid, allVisible(1, grid.cells)));
    this.plan.write(graph.volume, volume);
    const [loss] = await this.plan.step();
    return loss![0]!;
  }

  /** The plan has one set of inputs, so its users take turns. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work, work);
    this.last = result;
    result.catch(() => undefined);
    return result;
  }
}

/** Rows of the full list of bricks, [cells, 16³], as a volume [crop, crop, crop]; both run x, y, z with z fastest. */
export function fromBricks(bricks: Float32Array, crop: number): Volume {
  const volume = new Float32Array(crop ** 3);
  eachVoxel(crop, (at, cell, within) => {
    volume[at] = bricks[cell * PATCH ** 3 + within]!;
  });
  return volume;
}

function hide(volume: Float32Array, crop: number, visible: Uint32Array): Volume {
  const masked = new Float32Array(volume.length).fill(Number.NaN);
  const seen = new Set(visible);
  eachVoxel(crop, (at, cell) => {
    if (seen.has(cell)) masked[at] = volume[at]!;
  });
  return masked;
}

/** Calls `visit(index in the volume, cell, index in the cell's brick)` for every voxel of a cubic crop. */
export function eachVoxel(crop: number, visit: (at: number, cell: number, within: number) => void): void {
  const across = crop / PATCH;
  let at = 0;
  for (let x = 0; x < crop; x++) {
    for (let y = 0; y < crop; y++) {
      const row = ((x >> 4) * across + (y >> 4)) * across;
      const inside = ((x & 15) * PATCH + (y & 15)) * PATCH;
      for (let z = 0; z < crop; z++) visit(at++, row + (z >> 4), inside + (z & 15));
    }
  }
}

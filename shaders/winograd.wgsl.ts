/**
 * Kernels around Winograd's 3³ convolution: see `src/ops/winograd-conv3.ts`. A thread takes one coarse row, a cube of 2³ voxels, and one
 * channel: it reads the cubes' values, applies a matrix along each axis in registers, and writes the result. No workgroup memory.
 */

import { type AxisMatrix, cubeInRegisters } from './lib/cube.ts';
import { elementwise, type Kernel, kernel } from './lib/kernel.ts';
import { NO_ROW, rowOf } from './lib/rows.ts';

/** What a cube of results needs from the 4³ values around it: points 0, 1, −1 and ∞ of each axis. */
const INPUT: AxisMatrix = { name: 'input', rows: [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]] }; // biome-ignore format: a matrix
/** The two results of an axis from its four points. */
const OUTPUT: AxisMatrix = {
  name: 'output',
  rows: [
    [1, 1, 1, 0],
    [0, 1, -1, -1],
  ],
};
/** Its transpose. */
const SPREAD: AxisMatrix = {
  name: 'spread',
  rows: [
    [1, 0],
    [1, 1],
    [1, -1],
    [0, -1],
  ],
};

/** Rows of the launch are the coarse rows from `firstRow` on; `edgeLog2` is the coarse edge's. */
const UNIFORMS = { count: 'u32', rows: 'u32', channels: 'u32', firstRow: 'u32', edgeLog2: 'u32' } as const;

const ELEMENT = `
  let channel = i % u.channels;
  let row = u.firstRow + i / u.channels;`;

/** points [64, rows, C] of x [bricks, (2 · edge)³, C]: 64 reads and 64 writes, and a look at each of 27 neighbours. */
export function winogradInputKernel(): Kernel {
  const axes = ['x', 'y', 'z'];
  const places = axes.map((axis, a) => {
    const at = `((row >> ${a === 2 ? '0u' : `(${2 - a}u * s)`}) & side) << 1u`;
    // Values 1 and 2 are the cube's own; 0 lies before them and 3 after, maybe in the next brick.
    return `let ${axis}1 = ${at}; let ${axis}2 = ${axis}1 + 1u; let ${axis}0 = (${axis}1 - 1u) & last; let ${axis}3 = (${axis}1 + 2u) & last;
  let brick${axis}0 = select(1u, 0u, ${axis}1 == 0u); let brick${axis}3 = select(1u, 2u, ${axis}2 == last);`;
  });
  const brickOf = (axis: number, q: number) => (q === 1 || q === 2 ? '1u' : `brick${axes[axis]}${q}`);
  const slab = (x: number) => {
    const own = [0, 1, 3];
    return own
      .flatMap((y) =>
        own.map(
          (z) =>
            `let slot${x}${y}${z} = neighbours[brick + ${brickOf(0, x)} * 9u + ${brickOf(1, y)} * 3u + ${brickOf(2, z)}];`,
        ),
      )
      .join(' ');
  };
  const slotOf = (q: number) => (q === 2 ? 1 : q);
  const value = (x: number, y: number, z: number) => {
    const slot = `slot${x}${slotOf(y)}${slotOf(z)}`;
    const place = `((${slot} << (3u * fine)) + (x${x} << (2u * fine)) + (y${y} << fine) + z${z}) * u.channels + channel`;
    return `select(x[select(${place}, 0u, ${slot} == ${NO_ROW})], 0.0, ${slot} == ${NO_ROW})`;
  };
  const body = cubeInRegisters(INPUT, {
    before: slab,
    load: value,
    store: (point, sum) => `points[i + ${point}u * stride] = ${sum};`,
  });
  return kernel({
    name: 'winograd-input',
    reads: { x: 'f32', neighbours: 'u32' },
    writes: { points: 'f32' },
    uniforms: UNIFORMS,
    code: elementwise(`${ELEMENT}
  let s = u.edgeLog2;
  let side = (1u << s) - 1u;
  let fine = s + 1u;
  let last = (1u << fine) - 1u;
  let brick = (row >> (3u * s)) * 27u;
  let stride = u.rows * u.channels;
  ${places.join('\n  ')}
  ${body}`),
  });
}

/** y [bricks, (2 · edge)³, C] of points [64, rows, C], plus `bias` [C] and `residual`, of y's shape: 64 reads and 8 writes. */
export function winogradOutputKernel(bias: boolean, residual: boolean): Kernel {
  const body = cubeInRegisters(OUTPUT, {
    load: (x, y, z) => `points[i + ${(x * 4 + y) * 4 + z}u * stride]`,
    store: (child, sum) =>
      `{ let at = rowOf(row, ${child}u) * u.channels + channel; y[at] = ${sum}${bias ? ' + bias[channel]' : ''}${residual ? ' + residual[at]' : ''}; }`,
  });
  return kernel({
    name: 'winograd-output',
    variant: { bias, residual },
    reads: { points: 'f32', ...(bias && { bias: 'f32' as const }), ...(residual && { residual: 'f32' as const }) },
    writes: { y: 'f32' },
    uniforms: UNIFORMS,
    code: `${rowOf('children')}
${elementwise(`${ELEMENT}
  let stride = u.rows * u.channels;
  ${body}`)}`,
  });
}

/** points [64, rows, C] that dy [bricks, (2 · edge)³, C] goes back to: 8 reads and 64 writes. */
export function winogradSpreadKernel(): Kernel {
  const body = cubeInRegisters(SPREAD, {
    load: (x, y, z) => `dy[rowOf(row, ${(x * 2 + y) * 2 + z}u) * u.channels + channel]`,
    store: (point, sum) => `points[i + ${point}u * stride] = ${sum};`,
  });
  return kernel({
    name: 'winograd-spread',
    reads: { dy: 'f32' },
    writes: { points: 'f32' },
    uniforms: UNIFORMS,
    code: `${rowOf('children')}
${elementwise(`${ELEMENT}
  let stride = u.rows * u.channels;
  ${body}`)}`,
  });
}

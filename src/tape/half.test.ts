import { describe, expect, test } from 'vitest';
import { halfStored } from '../../shaders/lib/half.ts';
import { elementwise, kernel } from '../../shaders/lib/kernel.ts';
import { roundToHalf, valuesOf } from './half.ts';

/** What of the kernel's text follows the declarations. */
function body(code: string, names: readonly string[], types: { x?: 'f32' | 'vec4f'; y?: 'f32' | 'vec4f' } = {}) {
  const { x = 'f32', y = 'f32' } = types;
  const made = kernel({ name: 'made', reads: { x, at: 'u32' }, writes: { y }, code: `fn main() {${code}}` });
  const half = halfStored({ ...made, id: code + names + x + y }, names);
  return { ...half, text: half.wgsl.slice(half.wgsl.indexOf('fn main() {') + 11, -1) };
}

describe('a kernel with bindings stored as f16', () => {
  test('declares them so and says which in its id', () => {
    const plain = kernel({
      name: 'copy',
      reads: { x: 'f32' },
      writes: { y: 'f32' },
      uniforms: { count: 'u32' },
      code: elementwise('y[i] = x[i];'),
    });
    const half = halfStored(plain, ['x']);
    expect(half.id).toBe('copy[f16 x]');
    expect(half.f16).toBe(true);
    expect(half.wgsl).toMatch(/^enable f16;\n@group\(0\) @binding\(0\) var<storage, read> x: array<f16>;\n/);
    expect(half.wgsl).toContain('var<storage, read_write> y: array<f32>;');
    expect(half.wgsl).toContain('y[i] = f32(x[i]);');
    expect(half.bindings.map(({ type }) => type)).toEqual(['f16', 'f32']);
    expect(halfStored(plain, ['x'])).toBe(half);
    expect(halfStored(plain, [])).toBe(plain);
  });

  test.each([
    ['reads', 'let v = x[at[i]] * x[2u * i + 1u];', 'let v = f32(x[at[i]]) * f32(x[2u * i + 1u]);'],
    ['stores', 'y[i] = x[i] + 1.0; y[i + 1u] = 0.0;', 'y[i] = f16(f32(x[i]) + 1.0); y[i + 1u] = f16(0.0);'],
    ['reads inside an index', 'y[u32(x[i])] = 2.0;', 'y[u32(f32(x[i]))] = f16(2.0);'],
    ['comparisons', 'if (y[i] == x[i] || x[i] <= 0.0) { }', 'if (f32(y[i]) == f32(x[i]) || f32(x[i]) <= 0.0) { }'],
    ['longer names', 'let x0 = px[i] + x_[i];', 'let x0 = px[i] + x_[i];'],
    ['fields', 'let v = u.x[i];', 'let v = u.x[i];'],
    ['comments', 'let v = 1.0; // x[i] and y\n', 'let v = 1.0; // x[i] and y\n'],
    [
      'a local in its block',
      '{ var x: array<f32, 2>; x[0] = 1.0; } y[i] = x[i];',
      '{ var x: array<f32, 2>; x[0] = 1.0; } y[i] = f16(f32(x[i]));',
    ],
    [
      'a parameter',
      '} fn f(x: vec3f) -> f32 { return x[0]; } fn g() { y[0] = x[0];',
      '} fn f(x: vec3f) -> f32 { return x[0]; } fn g() { y[0] = f16(f32(x[0]));',
    ],
  ])('changes %s', (_, code, expected) => {
    expect(body(code, ['x', 'y']).text).toBe(expected);
  });

  test('knows vectors', () => {
    const { text, wgsl } = body('y[i] = x[i].xyzw;', ['x', 'y'], { x: 'vec4f', y: 'vec4f' });
    expect(text).toBe('y[i] = vec4<f16>(vec4f(x[i]).xyzw);');
    expect(wgsl).toContain('x: array<vec4<f16>>;');
  });

  test.each([
    ['y[i] += 1.0;', ['y'], /"y" cannot be stored as f16: it is changed in place/],
    ['y[i] ++;', ['y'], /changed in place/],
    ['y[i] <<= 1u;', ['y'], /changed in place/],
    ['let p = &x;', ['x'], /"x" cannot be stored as f16: it is used without an index/],
    ['', ['at'], /"at" cannot be stored as f16: it holds u32/],
    ['', ['z'], /"z" cannot be stored as f16: there is none/],
  ])('refuses %s', (code, names, message) => {
    expect(() => body(code, names)).toThrow(message);
  });
});

describe('numbers of f16', () => {
  const values = (...bits: number[]) => [
    ...valuesOf({ size: bits.length, storage: 'f16' }, Uint16Array.from(bits).buffer),
  ];

  test('are read', () => {
    expect(values(0, 0x8000, 0x3c00, 0xc000, 0x7bff)).toEqual([0, -0, 1, -2, 65504]);
    expect(values(1, 0x03ff, 0x0400)).toEqual([2 ** -24, 1023 * 2 ** -24, 2 ** -14]);
    expect(values(0x7c00, 0xfc00, 0x7e00)).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
  });

  test('are rounded to', () => {
    // Ties go to the even neighbour.
    expect([1 + 2 ** -11, 1 + 3 * 2 ** -11, -1 - 2 ** -10].map(roundToHalf)).toEqual([1, 1 + 2 ** -9, -1 - 2 ** -10]);
    expect([65519, 65520, -1e9, 2 ** -25, 0].map(roundToHalf)).toEqual([
      65504,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      0,
      0,
    ]);
    // Every number of f16 is itself.
    for (let bits = 0; bits < 0x7c00; bits++) {
      const [value] = values(bits);
      if (roundToHalf(value!) !== value) throw new Error(`${value} becomes ${roundToHalf(value!)}`);
    }
  });
});

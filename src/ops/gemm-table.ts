/** The one table that says which micro-kernel runs a product on which class of adapter, and how it is launched. */

import type {
  ProductShape,
  ProductVariant,
  Tunable,
  WeightGradientShape,
  WeightGradientVariant,
} from '../../shaders/gemm/family.ts';
import { plainProductKernel, plainWeightGradientKernel } from '../../shaders/gemm/plain.wgsl.ts';
import { PHASES } from '../../shaders/lib/rows.ts';
import type { Target } from '../tape/op.ts';
import { type Candidate, type Choice, chosen, keyOf, mostSplits, type SplitChoice } from './gemm-choice.ts';
import { stripProduct, stripTile, stripWeightGradient } from './gemm-strips.ts';
import { tileProducts, tileWeightGradients } from './gemm-tiles.ts';

export function chooseProduct(target: Target, variant: ProductVariant, shape: ProductShape): Choice {
  const key = () => keyOf({ form: 'product', variant, shape });
  if (target.class === 'gpu') return chosen(target, key, tileProducts(target, variant, shape));
  const tile = target.class === 'plain' ? undefined : stripTile(target, variant, shape);
  return tile ? stripProduct(variant, shape, tile) : plainProduct(variant, shape);
}

export function chooseWeightGradient(
  target: Target,
  variant: WeightGradientVariant,
  shape: WeightGradientShape,
): SplitChoice {
  if (target.class === 'software-subgroups') return stripWeightGradient(target.subgroupSize, variant, shape);
  if (target.class !== 'gpu') return plainWeightGradient(alone(variant), shape);
  const key = () => keyOf({ form: 'weight gradient', variant, shape });
  return chosen(target, key, tileWeightGradients(target, alone(variant), shape));
}

/** Kernels that do not sum d as well. */
function alone(variant: WeightGradientVariant): WeightGradientVariant {
  return { ...variant, bias: false };
}

/** What a tuner may choose from, the default first. Nothing on software adapters, whose table was measured. */
export function candidatesOf(target: Target, tunable: Tunable): readonly Candidate<Choice | SplitChoice>[] {
  if (target.class !== 'gpu') return [];
  const { form, variant, shape } = tunable;
  return form === 'product' ? tileProducts(target, variant, shape) : tileWeightGradients(target, alone(variant), shape);
}

function plainProduct(variant: ProductVariant, { rows, inner, columns, unitStride }: ProductShape): Choice {
  const vec4 = unitStride && inner % 4 === 0 && columns % 4 === 0;
  const count = Math.ceil(rows / 4) * Math.ceil(columns / 4) * PHASES[variant.addressing];
  return { kernel: plainProductKernel(variant, vec4), uniforms: { count } };
}

function plainWeightGradient(
  variant: WeightGradientVariant,
  { rows, inner, columns, taps }: WeightGradientShape,
): SplitChoice {
  const tiles = taps * Math.ceil(inner / 4) * Math.ceil(columns / 4);
  const most = Math.min(Math.ceil(rows / 32), mostSplits(taps * inner * columns));
  const wanted = Math.max(1, Math.min(Math.ceil(4096 / tiles), most)); // threads to aim for
  const rowsPerSplit = Math.ceil(rows / wanted);
  const splits = Math.ceil(rows / rowsPerSplit);
  const count = tiles * splits;
  return { kernel: plainWeightGradientKernel(variant), uniforms: { count }, splits, rowsPerSplit };
}

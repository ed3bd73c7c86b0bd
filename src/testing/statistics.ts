/** Statistics of many numbers in float64, as NumPy computes them. */

export interface Statistics {
  readonly sum: number;
  readonly mean: number;
  /** Population standard deviation. */
  readonly std: number;
  readonly min: number;
  readonly max: number;
  /** One for each percentile asked for, interpolated linearly. */
  readonly percentiles: readonly number[];
}

export function floatStatistics(values: Float32Array, percentiles: readonly number[]): Statistics {
  const sorted = values.slice().sort();
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const at = (p: number) => {
    const position = (p / 100) * (sorted.length - 1);
    const low = Math.floor(position);
    const high = Math.min(low + 1, sorted.length - 1);
    return sorted[low]! + (position - low) * (sorted[high]! - sorted[low]!);
  };
  return {
    sum,
    mean,
    std: Math.sqrt(squares / values.length),
    min: sorted[0]!,
    max: sorted.at(-1)!,
    percentiles: percentiles.map(at),
  };
}

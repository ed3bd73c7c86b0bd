/** Functions that WGSL lacks. */

/**
 * The error function's complement and GELU. `erfcPositive(x)` for x ≥ 0 is t·P(t)·exp(−x²), t = 1 / (1 + 0.3 x), with P of degree 8
 * fitted by least squares reweighted to the minimax relative error 2·10⁻⁸; in float32 the absolute error stays below 5·10⁻⁷.
 */
export const gelu = `
fn erfcPositive(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3 * x);
  let p = ((((((((-0.129254688 * t + 0.48415142) * t - 0.509091193) * t + 0.543696135) * t - 0.0915469704) * t + 0.213430691) * t + 0.148778003) * t + 0.170643607) * t + 0.169192976);
  return t * p * exp(-x * x);
}
// Φ(x), the normal distribution function.
fn normalCdf(x: f32) -> f32 {
  let tail = 0.5 * erfcPositive(abs(x) * 0.70710678);
  return select(tail, 1.0 - tail, x > 0.0);
}
fn gelu(x: f32) -> f32 { return x * normalCdf(x); }
// d gelu / dx = Φ(x) + x φ(x)
fn geluSlope(x: f32) -> f32 { return normalCdf(x) + x * 0.39894228 * exp(-0.5 * x * x); }
`;

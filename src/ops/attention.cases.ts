import { Tensor } from '../tape/tensor.ts';
import { defineCases } from '../testing/op-cases.ts';
import { attention } from './attention.ts';

interface Sizes {
  readonly samples: number;
  readonly tokens: number;
  readonly heads: number;
  readonly dim: number;
}

const sample = (name: string, samples: number, tokens: number, heads: number, dim: number) => ({
  name,
  inputs: { qkv: { shape: [samples, tokens, 3 * heads * dim] } },
  attributes: { samples, tokens, heads, dim },
});

/** Calls back for each (sample, head) with readers and the softmax weights P [tokens, tokens]. */
function eachHead(
  qkv: Float64Array,
  s: Sizes,
  visit: (
    at: (part: number, token: number, d: number) => number,
    p: Float64Array,
    out: (token: number, d: number) => number,
  ) => void,
) {
  const width = s.heads * s.dim;
  for (let b = 0; b < s.samples; b++)
    for (let h = 0; h < s.heads; h++) {
      const at = (part: number, token: number, d: number) =>
        (b * s.tokens + token) * 3 * width + part * width + h * s.dim + d;
      const out = (token: number, d: number) => (b * s.tokens + token) * width + h * s.dim + d;
      const p = new Float64Array(s.tokens * s.tokens);
      for (let i = 0; i < s.tokens; i++) {
        const scores = Array.from({ length: s.tokens }, (_, j) => {
          let dot = 0;
          for (let d = 0; d < s.dim; d++) dot += qkv[at(0, i, d)]! * qkv[at(1, j, d)]!;
          return dot / Math.sqrt(s.dim);
        });
        const most = Math.max(...scores);
        const total = scores.reduce((sum, v) => sum + Math.exp(v - most), 0);
        scores.forEach((v, j) => {
          p[i * s.tokens + j] = Math.exp(v - most) / total;
        });
      }
      visit(at, p, out);
    }
}

const tensor = (shape: number[]) => new Tensor('t', shape, 'f32', 'input', false);

export const attentionCases = defineCases<Sizes>({
  op: 'attention',
  samples: [
    sample('odd sizes, batch 3', 3, 7, 2, 5),
    sample('one token', 2, 1, 4, 3),
    sample('one head', 1, 9, 1, 6),
    sample('more tokens than a workgroup', 1, 70, 2, 12),
  ],
  record: (tape, { qkv }, { heads, samples }) => attention(tape, { qkv: qkv! }, { heads, samples }),
  forward({ qkv }, s) {
    const y = new Float64Array(s.samples * s.tokens * s.heads * s.dim);
    eachHead(qkv!, s, (at, p, out) => {
      for (let i = 0; i < s.tokens; i++)
        for (let j = 0; j < s.tokens; j++)
          for (let d = 0; d < s.dim; d++) y[out(i, d)]! += p[i * s.tokens + j]! * qkv![at(2, j, d)]!;
    });
    return { y };
  },
  backward({ qkv }, s, dy) {
    const dQkv = new Float64Array(qkv!.length);
    eachHead(qkv!, s, (at, p, out) => {
      for (let i = 0; i < s.tokens; i++) {
        const dP = Array.from({ length: s.tokens }, (_, j) => {
          let sum = 0;
          for (let d = 0; d < s.dim; d++) sum += dy[out(i, d)]! * qkv![at(2, j, d)]!;
          return sum;
        });
        const mean = dP.reduce((sum, v, j) => sum + v * p[i * s.tokens + j]!, 0);
        for (let j = 0; j < s.tokens; j++) {
          const weight = p[i * s.tokens + j]!;
          const dS = (weight * (dP[j]! - mean)) / Math.sqrt(s.dim);
          for (let d = 0; d < s.dim; d++) {
            dQkv[at(0, i, d)]! += dS * qkv![at(1, j, d)]!;
            dQkv[at(1, j, d)]! += dS * qkv![at(0, i, d)]!;
            dQkv[at(2, j, d)]! += weight * dy[out(i, d)]!;
          }
        }
      }
    });
    return { qkv: dQkv };
  },
  wrong: [
    {
      name: 'heads that do not divide the channels',
      record: (tape) => attention(tape, { qkv: tensor([1, 4, 36]) }, { heads: 5, samples: 1 }),
      message: /attention: heads: got 5 for 36 = 3 · 12 channels, need a divisor/,
    },
    {
      name: 'samples of unequal length',
      record: (tape) => attention(tape, { qkv: tensor([4, 36]) }, { heads: 4, samples: 3 }),
      message: /attention: samples: got 3 for 4 tokens, need equally many tokens in each/,
    },
  ],
});

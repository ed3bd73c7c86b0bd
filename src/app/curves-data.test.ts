import { expect, test } from 'vitest';
import { CurveData } from './curves-data.ts';

const step = (number: number, loss: number) =>
  JSON.stringify({ kind: 'step', step: number, loss, learningRate: 0.001, cropsPerSecond: 2 });
const judged = (number: number, loss: number) =>
  JSON.stringify({ kind: 'evaluation', step: number, loss, perCrop: [loss] });

test('metrics are read up to half a line, and steps taken again replace those from before', () => {
  const rows = [
    '{"kind":"baselines","patchMean":0.999,"smoothFill":0.7}',
    ...[step(1, 1), step(2, 0.9), judged(2, 0.95), step(3, 0.8), step(2, 0.85), judged(2, 0.9), '{"kind":"st'],
  ];
  const data = CurveData.fromMetrics(rows.join('\n'));
  expect(data.steps).toEqual([1, 2]);
  expect(data.loss).toEqual([1, 0.85]);
  expect(data.evaluations.map(({ loss }) => loss)).toEqual([0.9]);
  expect(data.baselines?.smoothFill).toBe(0.7);
});

/** Every setting that the engine refuses is explained beside its own field. */

import { expect, test } from 'vitest';
import { resolveConfig } from '../train/config.ts';
import { FIELDS, fieldOf, Settings } from './settings.ts';

/** Numbers that no run can have. */
const WRONG: Record<string, string> = {
  maskRatio: '1.5',
  batch: '0',
  accumulate: '0.5',
  length: '0',
  learningRate: '-1',
  seed: '-1',
  crop: '40',
  cropsPerScan: '0',
  warmup: '1',
  heldOut: '1',
  evaluationCrops: '0',
  evaluateEvery: '0',
};

function refused(settings: Settings): unknown {
  try {
    resolveConfig(settings.options);
  } catch (error) {
    return error;
  }
  throw new Error('It was accepted.');
}

test.each(FIELDS.map(({ name }) => name))('%s', (name) => {
  const settings = new Settings();
  settings.type(name, WRONG[name]!);
  const found = fieldOf(refused(settings));
  expect(found?.name).toBe(name);
  expect(found?.text).toMatch(/cannot be used. Needed: .*\.$/);
});

test('epochs are explained beside the length too', () => {
  const settings = new Settings();
  settings.set({ unit: 'epochs' });
  settings.type('length', '0');
  expect(fieldOf(refused(settings))?.name).toBe('length');
});

test('what is no number is told without the engine, and left empty means the default', () => {
  const settings = new Settings();
  settings.type('seed', 'x');
  expect(settings.problems.get('seed')).toBe('“x” is not a number.');
  settings.type('seed', ' ');
  expect(settings.problems.size).toBe(0);
  expect(resolveConfig(settings.options)).toEqual(resolveConfig({}));
});

test('weights of a run bring its network, crop and mask ratio into the form', () => {
  const weights = { name: 'a run', blob: new Blob() };
  const config = resolveConfig({ preset: 'small', model: { crop: 64 }, batch: 7 });
  const settings = new Settings();
  settings.type('crop', '32');
  settings.type('maskRatio', '0.5');
  settings.type('batch', '3');
  settings.startFrom(weights, config);
  expect(settings.weights).toBe(weights);
  const found = resolveConfig(settings.options);
  expect(found.model).toEqual(config.model);
  expect(found.batch).toBe(3); // no matter of the weights
});

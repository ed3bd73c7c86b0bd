import { expect } from 'vitest';
import { comparePreprocess } from './golden-preprocess.ts';
import { sharedPath, testWithShared } from './shared.ts';

testWithShared('golden/preprocess_a.json')('the loading chain equals preprocess_a in every stage', async () => {
  const rows = await comparePreprocess(sharedPath('golden'), 'preprocess_a');
  expect(rows.length).toBeGreaterThan(15);
  expect(rows.filter((row) => !row.pass)).toEqual([]);
});

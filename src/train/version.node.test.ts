import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VERSION } from './folder.ts';

test("reports carry the package's version", () => {
  expect(VERSION).toBe((JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version);
});

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { holderOf, lockFolder } from './run-lock.ts';

const dir = mkdtempSync(join(tmpdir(), 'lock-'));
afterAll(() => rmSync(dir, { recursive: true }));
const DEAD = 999_999_999;

test('a folder is taken once, told of, and given back; what was empty is gone then', () => {
  const folder = join(dir, 'run');
  expect(holderOf(folder)).toBeUndefined();
  const lock = lockFolder(folder);
  if (!('release' in lock)) throw new Error('it was free');
  expect(readdirSync(folder)).toEqual(['lock']);
  expect(holderOf(folder)).toBe(`process ${process.pid}`);
  expect(lockFolder(folder)).toMatchObject({
    holder: `process ${process.pid}`,
    advice: expect.stringMatching(/delete/),
  });
  lock.release();
  expect(existsSync(folder)).toBe(false);
});

test('the lock of a dead process, or of half a word, is nobody’s', () => {
  for (const [name, text] of [
    ['dead', `${DEAD} 1`],
    ['empty', ''],
    ['words', 'no number'],
  ] as const) {
    const folder = join(dir, name);
    mkdirSync(folder);
    writeFileSync(join(folder, 'lock'), text);
    expect(holderOf(folder)).toBeUndefined();
    const lock = lockFolder(folder);
    expect(lock).toHaveProperty('release');
    expect(readdirSync(folder)).toEqual(['lock']);
    if ('release' in lock) lock.release();
  }
});

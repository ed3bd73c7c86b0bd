import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FolderStore } from './folder.ts';
import { MemoryStore } from './memory.ts';
import { isFull, type Store, splitPath, storeIn } from './store.ts';

const text = (value: string) => new TextEncoder().encode(value);
const read = async (store: Store, path: string, range?: { start: number; end: number }) =>
  new TextDecoder().decode(await store.read(path, range));

const folder = mkdtempSync(join(tmpdir(), 'store-'));
afterAll(() => rmSync(folder, { recursive: true }));

const stores: [string, () => Store][] = [
  ['memory', () => new MemoryStore()],
  ['folder', () => new FolderStore(mkdtempSync(join(folder, 's-')))],
];

for (const [name, make] of stores) {
  describe(`${name} store`, () => {
    test('reads what was written, whole and in part', async () => {
      const store = make();
      await store.write('runs/a/checkpoint.bin', text('0123456789'));
      expect(await read(store, 'runs/a/checkpoint.bin')).toBe('0123456789');
      expect(await read(store, 'runs/a/checkpoint.bin', { start: 3, end: 6 })).toBe('345');
      expect(await read(store, 'runs/a/checkpoint.bin', { start: 8, end: 99 })).toBe('89');
      expect(await read(store, 'runs/a/checkpoint.bin', { start: 20, end: 30 })).toBe('');
      await store.write('runs/a/checkpoint.bin', text('new'));
      expect(await read(store, 'runs/a/checkpoint.bin')).toBe('new');
      expect(await store.size('runs/a/checkpoint.bin')).toBe(3);
    });

    test('writes chunks, all or nothing, and opens files as blobs', async () => {
      const store = make();
      async function* chunks(fail: boolean) {
        yield text('one ');
        if (fail) throw new Error('no more');
        yield text('two');
      }
      await store.write('a/b', chunks(false));
      expect(await (await store.open('a/b')).text()).toBe('one two');
      await expect(store.write('a/b', chunks(true))).rejects.toThrow('no more');
      expect(await read(store, 'a/b')).toBe('one two');
      await expect(store.open('a/c')).rejects.toThrow('no such file');
      const inside = storeIn(store, 'a');
      expect(await inside.list()).toEqual([{ path: 'b', size: 7 }]);
      expect(await read(inside, 'b')).toBe('one two');
    });

    test('appends', async () => {
      const store = make();
      await store.append('log.jsonl', text('a\n'));
      await store.append('log.jsonl', text('b\n'));
      expect(await read(store, 'log.jsonl')).toBe('a\nb\n');
    });

    test('lists by prefix in order and removes files and folders', async () => {
      const store = make();
      expect(await store.list()).toEqual([]);
      for (const path of ['b/2', 'a', 'b/1', 'bc/3']) await store.write(path, text(path));
      expect(await store.list()).toEqual(['a', 'b/1', 'b/2', 'bc/3'].map((path) => ({ path, size: path.length })));
      expect((await store.list('b/')).map((f) => f.path)).toEqual(['b/1', 'b/2']);
      expect((await store.list('b')).map((f) => f.path)).toEqual(['b/1', 'b/2', 'bc/3']);
      await store.remove('b');
      await store.remove('b');
      await store.remove('a');
      expect((await store.list()).map((f) => f.path)).toEqual(['bc/3']);
      expect(await store.size('a')).toBeUndefined();
      expect(await store.size('b/1/2')).toBeUndefined();
    });

    test('errors are sentences with code storage', async () => {
      const store = make();
      const error = await store.read('no/file').catch((e) => e);
      expect(error).toMatchObject({ code: 'storage', message: 'reading "no/file": got no such file.' });
      for (const path of ['', '/a', 'a//b', '../a', 'a/./b', 'a\\b', 'a/']) {
        await expect(store.write(path, text('x'))).rejects.toMatchObject({ code: 'bad-argument' });
      }
    });

    test('many writes at once to one file leave one of them whole', async () => {
      const store = make();
      const values = Array.from({ length: 20 }, (_, i) => String(i % 10).repeat(1000));
      await Promise.all(values.map((value) => store.write('f', text(value))));
      expect(values).toContain(await read(store, 'f'));
      expect((await store.list()).length).toBe(1);
    });

    test('cleans without touching its files', async () => {
      const store = make();
      await store.clean();
      await store.write('runs/a/f', text('x'));
      await storeIn(store, 'runs').clean('a');
      expect((await store.list()).length).toBe(1);
    });

    test('free space is a number', async () => {
      const store = make();
      await store.write('f', text('x'));
      expect(await store.free()).toBeGreaterThan(0);
    });
  });
}

test('a full store says so and keeps the old file', async () => {
  const store = new MemoryStore(10);
  await store.write('a', text('12345678'));
  const error = await store.write('a', text('12345678901')).catch((e) => e);
  expect(isFull(error)).toBe(true);
  expect(error.message).toContain('no space left. Free some space');
  expect(await read(store, 'a')).toBe('12345678');
});

test('a folder store names what it cannot write, and ignores unfinished files', async () => {
  const root = mkdtempSync(join(folder, 's-'));
  writeFileSync(join(root, 'blocked'), 'a file where a folder is needed');
  writeFileSync(join(root, 'x.1-2.unfinished'), 'left by a crash');
  const store = new FolderStore(root);
  await expect(store.write('blocked/a', text('x'))).rejects.toMatchObject({ code: 'storage' });
  expect((await store.list()).map((f) => f.path)).toEqual(['blocked']);
});

test('a folder store cleans up after processes that are gone, and after no other', async () => {
  const root = mkdtempSync(join(folder, 's-'));
  const store = new FolderStore(root);
  await store.write('runs/a/f', text('x'));
  const gone = spawnSync('true').pid;
  const left = [`runs/a/f.${gone}-0.unfinished`, `runs/b.${gone}-1.unfinished`, `runs/a/f.${process.pid}-7.unfinished`];
  for (const path of left) writeFileSync(join(root, path), 'half');
  const files = () => readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.'));
  await storeIn(store, 'runs').clean('a');
  expect(files().sort()).toEqual([left[2], left[1]].sort());
  await store.clean();
  expect(files()).toEqual([left[2]]);
});

test('splitPath', () => {
  expect(splitPath('runs/2026-01 (a)/x_1.json')).toEqual(['runs', '2026-01 (a)', 'x_1.json']);
});

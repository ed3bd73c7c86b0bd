import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { findFiles } from './files.ts';

const dir = mkdtempSync(join(tmpdir(), 'hyspark-files-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
for (const path of ['a/ct/p.hdr', 'b/ct/p.img', 'b/ct/p.hdr', 'a/x.nii', 'b/x.nii']) {
  mkdirSync(join(dir, dirname(path)), { recursive: true });
  writeFileSync(join(dir, path), path);
}
const found = async (...paths: string[]) =>
  (await findFiles(paths.map((path) => join(dir, path)))).map(({ path }) => path).sort();

test('paths are relative to one folder given, and below the names of several', async () => {
  expect(await found('a')).toEqual(['ct/p.hdr', 'x.nii']);
  expect(await found('a', 'b')).toEqual(['a/ct/p.hdr', 'a/x.nii', 'b/ct/p.hdr', 'b/ct/p.img', 'b/x.nii']);
});

test('folders and files of one name stay apart, files of one folder together', async () => {
  expect(await found('a/ct', 'b/ct')).toEqual(['ct (2)/p.hdr', 'ct (2)/p.img', 'ct/p.hdr']);
  expect(await found('a/x.nii', 'b/x.nii')).toEqual(['b/x.nii', 'x.nii']);
  expect(await found('b/ct/p.hdr', 'b/ct/p.img')).toEqual(['p.hdr', 'p.img']);
  expect(await found('a/ct/p.hdr', 'b/ct/p.img', 'b/ct/p.hdr')).toEqual(['ct/p.hdr', 'ct/p.img', 'p.hdr']);
});

test('links are followed to files; a link to a folder is named', async () => {
  mkdirSync(join(dir, 'links'));
  symlinkSync(join(dir, 'a/x.nii'), join(dir, 'links/y.nii'));
  symlinkSync(join(dir, 'a'), join(dir, 'links/back'));
  symlinkSync(join(dir, 'nowhere'), join(dir, 'links/dead'));
  const files = await findFiles([join(dir, 'links')]);
  expect(files.map(({ path, problem }) => [path, problem])).toEqual([
    ['back', expect.stringContaining('give that folder itself')],
    ['y.nii', undefined],
  ]);
});

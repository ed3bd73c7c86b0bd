/** The list of scans, with a reader that tells scans apart by their first byte and takes those that begin with x for no CT. */

import { beforeEach, expect, test } from 'vitest';
import type { Audit } from '../data/audit.ts';
import type { FoundFile } from '../data/source.ts';
import { remembered } from './remember.ts';
import type { Look, ScanService } from './scan-protocol.ts';
import { SAMPLE_COUNT, Scans } from './scans.ts';
import { countText } from './text.ts';

const service: ScanService = {
  async look(source): Promise<Look> {
    const hash = (await (source.files[0]!.handle as File).text())[0]!;
    if (hash === 'x') return { usable: false, hash, reason: 'It is no CT.' };
    const thumbnail = { width: 1, height: 1, grey: new Uint8Array(1) };
    return { usable: true, hash, audit: {} as Audit, thumbnail };
  },
  volume: () => Promise.reject(new Error('Nothing is looked at here.')),
  sample: async (index) => new File([`${index} of the samples`], `sample-${index}.nii`, { lastModified: 0 }),
};
const reader = { run: <T>(work: (service: ScanService) => Promise<T>) => work(service) };
const list = () => new Scans(reader, reader);
const states = (scans: Scans) => scans.items.map(({ path, state }) => `${path} ${state}`);

function file(path: string, text: string): FoundFile {
  const handle = new File([text], path, { lastModified: 0 });
  return { path, size: handle.size, handle };
}

beforeEach(() => {
  const kept = new Map<string, string>();
  const localStorage = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  };
  Object.assign(globalThis, { localStorage });
});

test('a copy waits for what it is the same as, and takes its place', async () => {
  const scans = list();
  await scans.add([file('a.nii', '1'), file('b.nii', '1 '), file('c.nii', '2')]);
  expect(states(scans)).toEqual(['a.nii ready', 'b.nii bad', 'c.nii ready']);
  expect(scans.items[1]!.reason).toBe('The same as a.nii.');
  scans.remove(scans.items[0]!);
  await expect.poll(() => states(scans)).toEqual(['b.nii ready', 'c.nii ready']);
  expect(scans.items[0]!.reason).toBeUndefined();
});

test('sample scans that were removed stay removed', async () => {
  const scans = list();
  await scans.addSamples();
  expect(scans.usable.length).toBe(SAMPLE_COUNT);
  scans.remove(scans.items[1]!);
  expect(remembered().samples).toEqual([0, 2, 3, 4, 5]);
  const next = list();
  await next.restore();
  expect(next.items.map(({ sample }) => sample)).toEqual([0, 2, 3, 4, 5]);
  next.clear();
  const last = list();
  await last.restore();
  expect(last.items).toEqual([]);
});

test('files given twice are counted once', async () => {
  const scans = list();
  const files = [file('s/a.nii', '1'), file('s/notes.txt', 'text'), file('s/more.md', 'text')];
  await scans.add(files);
  await scans.add(files);
  expect([scans.ignored, scans.items.length]).toEqual([2, 1]);
  expect(scans.problem).toBe('The list has these scans already.');
  await scans.add([...files, file('s/b.nii', '2'), file('other/notes.txt', 'text')]);
  expect([scans.ignored, scans.items.length]).toEqual([3, 2]);
});

test('what is set aside is listed once', async () => {
  const scans = list();
  await scans.add([file('a.zip', '1'), file('b.hdr', '2')]);
  await scans.add([file('a.zip', '1'), file('c.zip', '3')]);
  expect(states(scans)).toEqual(['a.zip bad', 'b.hdr bad', 'c.zip bad']);
});

test('a folder can be walked while scans are read', async () => {
  const scans = list();
  const seen = new Set<string>();
  scans.subscribe(() => seen.add(scans.progress?.what ?? 'nothing'));
  let end = (_: undefined) => {};
  const walking = scans.addFrom((onFound) => {
    onFound(0);
    return new Promise((resolve) => (end = resolve));
  });
  await scans.add([file('a.nii', '1')]);
  expect(seen).toContain('Reading scans');
  end(undefined);
  await walking;
  expect([scans.busy, states(scans)]).toEqual([false, ['a.nii ready']]);
});

test('folders are walked in view, and an empty one is told', async () => {
  const scans = list();
  const seen: string[] = [];
  scans.subscribe(() => scans.progress && seen.push(`${scans.progress.what} ${countText(scans.progress)}`));
  await scans.addFrom(async (onFound) => {
    onFound(0);
    onFound(300);
    return [];
  });
  expect(seen).toEqual(['Looking through folders ', 'Looking through folders 300 files']);
  expect(scans.busy).toBe(false);
  expect(scans.problem).toBe('No files were found: the folder is empty.');
  await scans.addFrom(async () => undefined); // the person changed their mind
  expect(scans.problem).toBeUndefined();
});

test('reading can be cancelled: what waits leaves the list', async () => {
  const scans = list();
  const end = scans.subscribe(() => {
    if (scans.items[0]?.state !== 'ready') return;
    end();
    scans.stopReading();
  });
  await scans.add([file('a.nii', '1'), file('b.nii', '2'), file('c.nii', '3')]);
  expect(states(scans)).toEqual(['a.nii ready', 'b.nii ready']); // the second was being read
});

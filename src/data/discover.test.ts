import { describe, expect, test } from 'vitest';
import { directPool, fileOf, memoryPlatform, phantomFile } from '../testing/data.ts';
import { discover } from './discover.ts';
import { inspect } from './inspect.ts';
import type { FoundFile } from './source.ts';

const text = (path: string, content: string) => fileOf(path, new TextEncoder().encode(content));
const empty = (path: string) => fileOf(path, new Uint8Array(200));
const find = (files: FoundFile[]) => discover(files, memoryPlatform.open);

/** A DICOM file with the elements given, explicit little-endian. */
function dicomFile(path: string, seriesUid: string): FoundFile {
  const bytes: number[] = new Array(128).fill(0);
  const ascii = (value: string) => [...value].map((c) => c.charCodeAt(0));
  const element = (group: number, number: number, vr: string, value: string) => {
    const padded = value.length % 2 ? `${value}\0` : value;
    bytes.push(
      group & 255,
      group >> 8,
      number & 255,
      number >> 8,
      ...ascii(vr),
      padded.length & 255,
      padded.length >> 8,
    );
    bytes.push(...ascii(padded));
  };
  bytes.push(...ascii('DICM'));
  element(2, 0x10, 'UI', '1.2.840.10008.1.2.1');
  element(8, 0x60, 'CS', 'CT');
  element(0x20, 0xe, 'UI', seriesUid);
  return fileOf(path, Uint8Array.from(bytes));
}

describe('discover', () => {
  test('NIfTI, pairs, lone halves, hidden files, archives, other formats', async () => {
    const names = ['a/x.nii', 'a/y.nii.gz', 'p.hdr', 'p.img', 'q.hdr.gz', 'q.img.gz', 'lone.hdr', 'alone.img'];
    const other = ['a/._x.nii', '.DS_Store', 'notes.txt', 'z.zip', 'slice.dcm.gz', 's.nrrd', 'data.bin'];
    const found = await find([...names, ...other].map(empty));
    expect(found.scans.map(({ kind, path, files }) => [kind, path, files.length])).toEqual([
      ['NIfTI', 'a/x.nii', 1],
      ['NIfTI', 'a/y.nii.gz', 1],
      ['NIfTI pair', 'p.hdr', 2],
      ['NIfTI pair', 'q.hdr.gz', 2],
    ]);
    expect(found.setAside.map(({ path }) => path)).toEqual([
      'alone.img',
      'lone.hdr',
      's.nrrd',
      'slice.dcm.gz',
      'z.zip',
    ]);
    expect(found.ignored).toBe(4);
  });

  test('nnU-Net: label maps belong to their scans, only the first channel is used', async () => {
    const found = await find([
      text('d/dataset.json', JSON.stringify({ channel_names: { 0: 'CT' }, numTraining: 2, file_ending: '.nii.gz' })),
      ...['d/imagesTr/a_0000.nii.gz', 'd/imagesTr/b_0000.nii.gz', 'd/imagesTr/b_0001.nii.gz'].map(empty),
      ...['d/labelsTr/a.nii.gz', 'd/labelsTr/b.nii.gz'].map(empty),
    ]);
    expect(found.scans.map(({ path, label }) => [path, label?.path])).toEqual([
      ['d/imagesTr/a_0000.nii.gz', 'd/labelsTr/a.nii.gz'],
      ['d/imagesTr/b_0000.nii.gz', 'd/labelsTr/b.nii.gz'],
    ]);
    expect(found.setAside).toEqual([
      { path: 'd/imagesTr/b_0001.nii.gz', reason: expect.stringContaining('Channel 1') },
    ]);
  });

  test('scans that are numbered as channels are: AMOS, WORD, and whatever dataset.json lists', async () => {
    const amos = ['AMOS/imagesTr/amos_0001.nii.gz', 'AMOS/imagesTr/amos_0004.nii.gz'];
    const listed = ['d/imagesTr/x_0000.nii.gz', 'd/imagesTr/x_0001.nii.gz'];
    const list = { training: listed.map((path) => ({ image: path.slice(2) })) };
    const found = await find([
      text('d/dataset.json', JSON.stringify(list)),
      ...[...amos, ...listed, 'AMOS/labelsTr/amos_0001.nii.gz'].map(empty),
    ]);
    expect(found.scans.map(({ path }) => path)).toEqual([...amos, ...listed]);
    expect(found.scans[0]!.label?.path).toBe('AMOS/labelsTr/amos_0001.nii.gz');
    expect(found.setAside).toEqual([]);
  });

  test('files of one path: each a scan under a name of its own, and no header takes the image of another', async () => {
    const both = ['ct/a.nii', 'ct/a.nii', 'ct/p.hdr', 'ct/p.img', 'ct/p.hdr', 'ct/p.img'].map(empty);
    const slices = ['1.2.3', '1.2.4'].flatMap((uid) => [dicomFile(`cd/${uid}.1`, uid), dicomFile(`cd/${uid}.2`, uid)]);
    const found = await find([...both, ...slices]);
    expect(found.scans.map(({ path }) => path)).toEqual([
      'cd/(2 DICOM files)',
      'cd/(2 DICOM files) (2)',
      'ct/a.nii',
      'ct/a.nii (2)',
    ]);
    expect(found.setAside.length).toBe(4);
  });

  test('a file that cannot be read is named, and the others are found', async () => {
    const open = async (handle: unknown) =>
      handle === 'locked' ? { slice: () => ({ arrayBuffer: () => Promise.reject(new Error('EACCES')) }) } : handle;
    const files = [
      empty('a.nii'),
      { path: 'locked', size: 200, handle: 'locked' },
      { path: 'lost+found', size: 0, handle: '/lost+found', problem: 'A folder that cannot be read.' },
      { path: 'dataset.json', size: 2, handle: 'locked' },
    ];
    const found = await discover(files, open as never);
    expect(found.scans.map(({ path }) => path)).toEqual(['a.nii']);
    expect(found.setAside.map(({ path }) => path)).toEqual(['dataset.json', 'locked', 'lost+found']);
  });

  test('Decathlon: the list of dataset.json says which label map belongs to which scan', async () => {
    const list = { training: [{ image: './img/liver_0.nii.gz', label: './truth/liver_0.nii.gz' }, { image: 7 }, null] };
    const found = await find([
      text('Task03/dataset.json', JSON.stringify(list)),
      ...['Task03/img/liver_0.nii.gz', 'Task03/img/liver_1.nii.gz', 'Task03/truth/liver_0.nii.gz'].map(empty),
    ]);
    expect(found.scans.map(({ path, label }) => [path, label?.path])).toEqual([
      ['Task03/img/liver_0.nii.gz', 'Task03/truth/liver_0.nii.gz'],
      ['Task03/img/liver_1.nii.gz', undefined],
    ]);
  });

  test('a broken dataset.json does not stop the others', async () => {
    for (const content of ['{', '[1]', '7', 'null', '{"training": {"a": 1}}']) {
      const found = await find([text('dataset.json', content), empty('imagesTr/a_0000.nii.gz')]);
      expect(found.scans.length).toBe(1);
      expect(found.setAside.length).toBe(content.startsWith('{"') ? 0 : 1);
    }
  });

  test('DICOM series are told apart by their id, whatever the files are called', async () => {
    const found = await find([
      dicomFile('cd/1', '1.2.3'),
      dicomFile('cd/2.dcm', '1.2.4'),
      dicomFile('cd/3.IMA', '1.2.3'),
      dicomFile('other/4', '1.2.3'),
    ]);
    expect(found.scans.map(({ kind, files }) => [kind, files.map((f) => f.path)])).toEqual([
      ['DICOM', ['cd/1', 'cd/3.IMA', 'other/4']],
      ['DICOM', ['cd/2.dcm']],
    ]);
  });

  test('an empty folder, and ten thousand unrelated files with one scan among them', async () => {
    expect(await find([])).toEqual({ scans: [], setAside: [], ignored: 0 });
    const endings = ['jpg', 'txt', 'bin', 'dat', 'json', ''];
    const files = Array.from({ length: 10_000 }, (_, i) => empty(`f/${i}.${endings[i % endings.length]}`));
    const found = await find([...files, empty('f/scan.nii')]);
    expect(found.scans.length).toBe(1);
    expect(found.ignored).toBe(10_000);
  });
});

describe('inspect', () => {
  test('usable scans, bad ones with reasons, equal ones once, and a summary', async () => {
    const scan = phantomFile(1);
    const result = await inspect(
      [
        fileOf('a.nii', scan),
        fileOf('again.nii', scan),
        fileOf('b.nii', phantomFile(2)),
        fileOf('cut.nii', scan.slice(0, 9000)),
      ],
      memoryPlatform,
      directPool(memoryPlatform, 2),
    );
    expect(result.scans.map((s) => s.path)).toEqual(['a.nii', 'b.nii']);
    expect(result.setAside).toEqual([
      { path: 'again.nii', reason: 'The same as a.nii.' },
      { path: 'cut.nii', reason: expect.stringMatching(/cut short/) },
    ]);
    expect(result.scans[0]!.audit.orientation).toBe('LPS');
    expect(result.summary!.sizeMm.map(([, middle]) => Math.round(middle))).toEqual([360, 270, 200]);
    expect(result.summary!.suggestedCrop).toBe(96);
  });
});

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Inspection } from '../data/inspect.ts';
import { hasNibabel } from '../testing/nibabel.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hyspark-cli-'));
});
afterAll(() => rm(dir, { recursive: true }));

/** Runs the command line; what it printed, and its exit status. */
function hyspark(...args: string[]): Promise<{ out: string; err: string; status: number }> {
  return new Promise((resolve) => {
    execFile('npx', ['tsx', 'src/node/cli.ts', ...args], { maxBuffer: 1 << 26 }, (error, out, err) => {
      const kept = err.split('\n').filter((line) => !line.startsWith('npm '));
      resolve({ out, err: kept.join('\n'), status: error ? Number(error.code) : 0 });
    });
  });
}

describe('hyspark', { timeout: 120_000 }, () => {
  test('sample writes equal scans for equal seeds, inspect reads them', async () => {
    const folder = join(dir, 'plain');
    expect((await hyspark('sample', '--out', folder, '--count', '3', '--seed', '5')).status).toBe(0);
    expect((await readdir(folder)).sort()).toEqual([0, 1, 2].map((i) => `sample_00${i}.nii.gz`));
    await hyspark('sample', '--out', join(dir, 'again'), '--count', '3', '--seed', '5');
    await writeFile(join(folder, 'broken.nii'), 'not a scan');
    await writeFile(join(folder, 'notes.txt'), 'unrelated');

    const { out, status } = await hyspark('inspect', folder, join(dir, 'again'), '--json');
    expect(status).toBe(0);
    const result = JSON.parse(out) as Inspection;
    expect(result.scans.length).toBe(3);
    expect(result.ignored).toBe(1);
    expect(result.setAside.map(({ path }) => path)).toEqual([
      'plain/broken.nii',
      ...[0, 1, 2].map((i) => `plain/sample_00${i}.nii.gz`), // the same scans as in `again`
    ]);

    const table = await hyspark('inspect', folder);
    expect(table.status).toBe(0);
    expect(table.out).toMatch(/3 usable scans, 1 set aside, 1 other file ignored/);
    expect(table.out).toMatch(/broken.nii: No NIfTI header: 10 bytes/);
    expect(table.out).toMatch(/Suggested crop: \d+³ voxels/);
  });

  test('sample --labels writes the folders of nnU-Net, and inspect pairs them', async () => {
    const folder = join(dir, 'labelled');
    await hyspark('sample', '--out', folder, '--count', '2', '--labels');
    const { out } = await hyspark('inspect', folder, '--json');
    const { scans, setAside } = JSON.parse(out) as Inspection;
    expect(setAside).toEqual([]);
    expect(scans.map(({ path, hasLabel }) => [path, hasLabel])).toEqual([
      ['imagesTr/sample_000_0000.nii.gz', true],
      ['imagesTr/sample_001_0000.nii.gz', true],
    ]);
  });

  test('nothing usable, and a path that is not there, end with status 1 and a sentence', async () => {
    const folder = join(dir, 'empty');
    await mkdir(folder);
    const empty = await hyspark('inspect', folder);
    expect(empty.status).toBe(1);
    expect(empty.out).toContain('0 usable scans, 0 set aside');
    const missing = await hyspark('inspect', join(dir, 'nowhere'));
    expect(missing.status).toBe(1);
    expect(missing.err).toMatch(/^hyspark: looking for scans: got ".*nowhere", which cannot be read\.$/m);
    expect((await hyspark('sample', '--out', folder, '--count', 'x')).status).toBe(1);
  });

  test('pretrain names an option that is none, a run that another process has, and a folder that is none', async () => {
    const scans = join(dir, 'few');
    await hyspark('sample', '--out', scans, '--count', '2');
    const config = join(dir, 'config.json');
    await writeFile(config, '{"lr":0.5}');
    const unknown = await hyspark('pretrain', scans, '--out', join(dir, 'a'), '--config', config);
    expect([unknown.status, unknown.err]).toEqual([1, expect.stringMatching(/Option "lr": got a name that is none/)]);

    const held = join(dir, 'held');
    await mkdir(held);
    const stat = await readFile(`/proc/${process.pid}/stat`, 'utf8').catch(() => undefined);
    const began = stat?.split(') ').at(-1)?.split(' ')[19] ?? '';
    await writeFile(join(held, 'lock'), `${process.pid} ${began}`);
    const refused = await hyspark('pretrain', scans, '--out', held);
    const who = new RegExp(
      `got a run that process ${process.pid} is writing\\. Stop it there first, or delete .*held/lock`,
    );
    expect([refused.status, refused.err]).toEqual([1, expect.stringMatching(who)]);
    // The number has gone to another process since, which only Linux tells; elsewhere there is no such process.
    await writeFile(join(held, 'lock'), stat ? `${process.pid} 1` : '999999999 ');
    const taken = await hyspark('pretrain', scans, '--out', held, '--steps', '0');
    expect(taken.err).toMatch(/Option "steps"/);

    const below = await hyspark('pretrain', scans, '--out', join(config, 'run'));
    expect([below.status, below.err]).toEqual([
      1,
      expect.stringMatching(/^hyspark: taking "run": got .*config\.json/m),
    ]);
    expect(below.err).not.toMatch(/^\s+at /m);
  });

  const nibabel = hasNibabel();
  const name = `nibabel reads the samples${nibabel ? '' : ' (NOT CHECKED: python3-nibabel is absent)'}`;
  test.skipIf(!nibabel)(name, async () => {
    const folder = join(dir, 'for-nibabel');
    await hyspark('sample', '--out', folder, '--count', '4', '--labels', '--seed', '9');
    const script = `
import glob, sys, nibabel, numpy
for path in sorted(glob.glob(sys.argv[1] + "/imagesTr/*")):
    image = nibabel.load(path)
    label = nibabel.load(path.replace("imagesTr", "labelsTr").replace("_0000.nii", ".nii"))
    data, organs = image.get_fdata(), numpy.asanyarray(label.dataobj)
    assert data.shape == organs.shape and numpy.allclose(image.affine, label.affine)
    assert data.min() >= -1024 and data.max() > 200 and organs.max() > 0
    print("good")`;
    const out = await new Promise<string>((resolve, reject) => {
      execFile('/usr/bin/python3', ['-c', script, folder], (error, text) => (error ? reject(error) : resolve(text)));
    });
    expect(out).toBe('good\n'.repeat(4));
  });
});

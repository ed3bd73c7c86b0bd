/**
 * Thousands of damaged files through the whole path from discovery to prepared volume: each is loaded or refused with a
 * sentence, memory stays bounded, nothing hangs (a test that takes too long fails).
 */

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encodeNifti, gzip } from '../formats/nifti-write.ts';
import { convertDicomInThread } from '../node/dicom-converter.ts';
import { Random } from '../random.ts';
import { directPool, fileOf, memoryPlatform, phantomFile } from '../testing/data.ts';
import { sharedPath, testWithShared } from '../testing/shared.ts';
import { readDicomSeries } from './dicom.ts';
import { dicomDefect, parseDicom } from './dicom-header.ts';
import { discover } from './discover.ts';
import { prepareVolume } from './prepare.ts';
import type { FoundFile } from './source.ts';

const OPTIONS = { spacing: 12, window: [-175, 250], least: 16 } as const;
/** What the process may hold beyond what it held before, MiB: one volume of the largest size a header may claim is 2048. */
const LARGEST_GROWTH_MIB = 600;

/** One of many ways in which a file gets damaged. Draws from `random` alone. */
function damage(original: Uint8Array, headerBytes: number, random: Random): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(original);
  const kind = random.int(0, 7);
  const inHeader = (i: number) => random.int(i, Math.min(headerBytes, bytes.length));
  const interesting = [0, 1, 0x7f, 0x80, 0xff];
  switch (kind) {
    case 0: // cut anywhere
      return bytes.slice(0, random.int(1, bytes.length));
    case 1: // cut within the header
      return bytes.slice(0, inHeader(1));
    case 2: // one byte of the header
      bytes[inHeader(1)] = random.int(2, 256);
      return bytes;
    case 3: // several bits of the header
      for (let i = 0; i < 8; i++) bytes[inHeader(10 + i)]! ^= 1 << random.int(20 + i, 8);
      return bytes;
    case 4: // a run of one value in the header
      bytes.fill(interesting[random.int(1, 5)]!, inHeader(2), inHeader(2) + 1 + random.int(3, 16));
      return bytes;
    case 5: // several bytes anywhere
      for (let i = 0; i < 20; i++) bytes[random.int(10 + i, bytes.length)] = random.int(40 + i, 256);
      return bytes;
    default: {
      // a piece copied over another
      const from = random.int(1, bytes.length);
      bytes.copyWithin(random.int(2, bytes.length), from, from + random.int(3, 400));
      return bytes;
    }
  }
}

/** Discovers and prepares each file alone; counts outcomes. Every refusal must be a sentence. */
async function feed(files: readonly FoundFile[]): Promise<{ usable: number; refused: number; largestMiB: number }> {
  const pool = directPool();
  let usable = 0;
  let refused = 0;
  let largest = 0;
  const before = process.memoryUsage().rss;
  for (const file of files) {
    const found = await discover([file], memoryPlatform.open);
    for (const { reason } of found.setAside) expect(reason).toMatch(/^.{10,}[.]$/s);
    for (const source of found.scans) {
      const result = await pool.prepare(source, OPTIONS);
      if (result.usable) {
        usable++;
        expect(result.volume.planes.some((count) => count > 0)).toBe(true);
      } else {
        refused++;
        expect(result.reason).toMatch(/^.{10,}[.]$/s);
        expect(result.reason).not.toMatch(/undefined|not a function|Cannot read|out of bounds|\bat \w+ \(/);
      }
    }
    largest = Math.max(largest, process.memoryUsage().rss - before);
  }
  return { usable, refused, largestMiB: largest / 2 ** 20 };
}

describe('damaged NIfTI files', () => {
  const small = phantomFile(1, [20, 16, 12]);
  const header = small.slice(0, 352);

  test('1600 plain files', { timeout: 300_000 }, async () => {
    const files = Array.from({ length: 1600 }, (_, i) =>
      fileOf(`${i}.nii`, damage(small, 352, Random.of(1, 'fuzz', i))),
    );
    const { usable, refused, largestMiB } = await feed(files);
    expect(usable + refused).toBe(1600);
    expect(usable).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(500);
    expect(largestMiB).toBeLessThan(LARGEST_GROWTH_MIB);
  });

  test('600 files damaged before they were gzipped, and 600 after', { timeout: 300_000 }, async () => {
    const zipped = await gzip(small);
    const files: FoundFile[] = [];
    for (let i = 0; i < 600; i++) {
      files.push(fileOf(`${i}.nii.gz`, await gzip(damage(small, 352, Random.of(2, 'fuzz', i)))));
      files.push(fileOf(`z${i}.nii.gz`, damage(zipped, 64, Random.of(3, 'fuzz', i))));
    }
    const { usable, refused, largestMiB } = await feed(files);
    expect(usable + refused).toBe(1200);
    expect(refused).toBeGreaterThan(400);
    expect(largestMiB).toBeLessThan(LARGEST_GROWTH_MIB);
  });

  test('300 pairs whose headers are damaged', { timeout: 300_000 }, async () => {
    const pool = directPool();
    header[345] = 0x69;
    new DataView(header.buffer).setFloat32(108, 0, true);
    const image = fileOf('x.img', small.slice(352));
    for (let i = 0; i < 300; i++) {
      const damaged = fileOf('x.hdr', damage(header, 352, Random.of(4, 'fuzz', i)));
      const result = await pool.prepare({ kind: 'NIfTI pair', path: 'x.hdr', files: [damaged, image] }, OPTIONS);
      if (!result.usable) expect(result.reason).toMatch(/^.{10,}[.]$/s);
    }
  });

  test('voxels of every strange value', async () => {
    const strange = [Number.NaN, Infinity, -Infinity, 3.4e38, -3.4e38, 1e-40, -0, 1e10];
    for (let i = 0; i < strange.length; i++) {
      const voxels = Float32Array.from({ length: 4096 }, (_, at) => (at % 7 === 0 ? strange[i]! : (at % 900) - 500));
      const affine = [6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 1];
      const { usable, refused } = await feed([
        fileOf('x.nii', encodeNifti({ shape: [16, 16, 16], affine, voxels, fastest: 'x' })),
      ]);
      expect(usable + refused).toBe(1);
    }
  });
});

describe('damaged DICOM files', () => {
  const sample = sharedPath('ct/dicom/cip_chest64/IMG0040.dcm');
  const encapsulated = sharedPath(
    'ct/dicom/transfer_syntaxes/CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm',
  );

  testWithShared('ct/dicom')('3000 headers are read or not, without an error', () => {
    for (const path of [sample, encapsulated]) {
      const bytes = new Uint8Array(readFileSync(path));
      for (let i = 0; i < 1500; i++) {
        const damaged = damage(bytes, 1300, Random.of(5, path.length, i));
        const info = parseDicom(damaged);
        const defect = dicomDefect(damaged);
        if (info === undefined) expect(defect).toBe('not a DICOM file');
        else if (defect !== undefined) expect(defect).toMatch(/^[\w ,.()×-]+$/);
      }
    }
  });

  testWithShared('ct/dicom')(
    '20 series with a damaged file each: dcm2niix makes the rest, or a sentence says why not',
    async () => {
      const good = Array.from(
        { length: 12 },
        (_, i) => new Uint8Array(readFileSync(sample.replace('0040', `00${30 + i}`))),
      );
      let usable = 0;
      for (let i = 0; i < 20; i++) {
        const files = good.map((bytes, at) => ({
          path: `${at}`,
          blob: new Blob([at === 5 ? damage(bytes, 1300, Random.of(6, 'series', i)) : bytes]),
        }));
        try {
          prepareVolume(await readDicomSeries(files, convertDicomInThread), OPTIONS);
          usable++;
        } catch (error) {
          expect(error).toMatchObject({ name: 'HysparkError' });
        }
      }
      expect(usable).toBeGreaterThan(10);
    },
    300_000,
  );
});

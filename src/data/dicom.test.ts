/** DICOM series as archives hold them: slices missing or twice, phases in one series, localizers, files that dcm2niix cannot read. */

import { describe, expect, test } from 'vitest';
import { concatBytes } from '../formats/bytes.ts';
import { convertDicomInThread } from '../node/dicom-converter.ts';
import { dicomSlice, element, type SliceOptions } from '../testing/dicom.ts';
import { voxelSize } from './affine.ts';
import { type DicomConverter, type NamedBytes, readDicomSeries } from './dicom.ts';
import { dicomDefect, parseDicom } from './dicom-header.ts';
import { valueAt } from './scan.ts';
import { reasonOf } from './source.ts';

/** Slices 3 mm apart from 0 mm on, as `changes` of their number say; null leaves one out. */
function slices(count: number, changes: (i: number) => Partial<SliceOptions> | null = () => ({})) {
  const made = Array.from({ length: count }, (_, i) => {
    const change = changes(i);
    return change && dicomSlice({ position: [-32, -32, 3 * i], instance: i + 1, ...change });
  });
  return made.filter((bytes) => bytes !== null);
}

const read = (files: readonly Uint8Array<ArrayBuffer>[], convert: DicomConverter = convertDicomInThread) =>
  readDicomSeries(
    files.map((bytes, i) => ({ path: `${i}`, blob: new Blob([bytes]) })),
    convert,
  );

/** Shape, spacing between slices, and notes. */
async function summary(files: readonly Uint8Array<ArrayBuffer>[], convert?: DicomConverter): Promise<string> {
  try {
    const { grid, notes } = await read(files, convert);
    return `${grid.shape.join('×')} ${voxelSize(grid.affine)[2].toFixed(2)} ${notes.join('; ')}`.trim();
  } catch (error) {
    return reasonOf(error);
  }
}

const axial = slices(20);
const CORONAL = [1, 0, 0, 0, 0, -1];

describe('a series', () => {
  test('is stacked by position, whatever the order of its files', async () => {
    const files = [...axial.slice(7), ...axial.slice(0, 7)].reverse();
    expect(await summary(files)).toBe('32×32×20 3.00');
    const scan = await read(files);
    // dcm2niix keeps slices from the feet to the head; the square's value tells the slice.
    const at = (z: number) => {
      const { offset, strides } = scan.grid;
      return valueAt(scan, offset + 16 * strides[0] + 16 * strides[1] + z * strides[2]);
    };
    expect(Array.from({ length: 20 }, (_, z) => at(z) - at(0))).toEqual(Array.from({ length: 20 }, (_, z) => z));
  });

  test('with slope and intercept that change from slice to slice is in HU', async () => {
    const files = slices(6, (i) => ({ slope: 1 + i / 8, intercept: -3 * i, pixel: () => 100 + i }));
    const scan = await read(files);
    const { offset, strides } = scan.grid;
    for (let i = 0; i < 6; i++) {
      expect(valueAt(scan, offset + i * strides[2])).toBeCloseTo((100 + i) * (1 + i / 8) - 3 * i, 3);
    }
  });

  test('with a slice missing is interpolated there, and says so', async () => {
    const files = slices(40, (i) => (i === 17 ? null : {}));
    expect(await summary(files)).toMatch(
      /^32×32×(39|40) 3.00 1 slice missing and interpolated, a gap of 6.0 mm at most; 2 volumes came/,
    );
  });

  test('with a large gap is set aside', async () => {
    const files = slices(40, (i) => (i > 9 && i < 20 ? null : {}));
    expect(await summary(files)).toBe('A gap of 33.0 mm between slices that are 3.0 mm apart.');
  });

  test('with slices 10 mm apart throughout has no gap', async () => {
    expect(await summary(slices(12, (i) => ({ position: [-32, -32, 10 * i] })))).toBe('32×32×12 10.00');
  });

  test('of thin slices and thick ones is resampled', async () => {
    const files = slices(24, (i) => ({ position: [-32, -32, i < 12 ? 2 * i : 24 + 5 * (i - 12)] }));
    expect(await summary(files)).toMatch(
      /^32×32×\d+ [\d.]+ 2 volumes came of the series: the one resampled to even slices is used$/,
    );
  });

  test('with a localizer loses the localizer, even one of the same size', async () => {
    const note = '1 of 21 images left out: another size, direction or kind';
    const localizer = { position: [-32, 0, 30], instance: 50, orientation: CORONAL } as const;
    expect(await summary([dicomSlice(localizer), ...axial])).toBe(`32×32×20 3.00 ${note}`);
    expect(await summary([dicomSlice({ ...localizer, size: 64 }), ...axial])).toBe(`32×32×20 3.00 ${note}`);
  });

  test('with a gantry tilt is made upright', async () => {
    const [s, c] = [Math.sin(0.3), Math.cos(0.3)];
    const files = slices(20, () => ({ orientation: [1, 0, 0, 0, c, -s] }));
    expect(await summary(files)).toMatch(/^32×41×20 2.87 2 volumes came .* corrected for gantry tilt is used/);
  });

  test('with cosines of two decimals is whole', async () => {
    expect(await summary(slices(20, () => ({ orientation: [1, 0, 0, 0, 0.95, -0.3] })))).toMatch(/^32×41×20 /);
  });

  test('with one name for all of its slices is whole', async () => {
    expect(await summary(slices(20, () => ({ uid: '1.2.3' })))).toBe('32×32×20 3.00');
  });

  test('of two fields of view or two kinds of image keeps the larger part', async () => {
    const note = '10 of 30 images left out: another size, direction or kind';
    const neck = slices(30, (i) => (i < 10 ? { spacing: 1 } : {}));
    expect(await summary(neck)).toBe(`32×32×20 3.00 ${note}`);
    const derived = slices(30, (i) => (i < 10 ? { imageType: 'DERIVED\\SECONDARY' } : {}));
    expect(await summary(derived)).toBe(`32×32×20 3.00 ${note}`);
  });

  test('that lies oblique keeps its spacing', async () => {
    const [s, c] = [Math.sin(0.3), Math.cos(0.3)];
    const files = slices(20, (i) => ({
      position: [-32, -32 + 3 * s * i, 3 * c * i],
      orientation: [1, 0, 0, 0, c, -s],
    }));
    expect(await summary(files)).toMatch(/^32×32×20 3.00/);
  });
});

describe('several images at one position', () => {
  const phase = (i: number) => ({ acquisition: 2, instance: 50 + i });

  test('as phases are no volume, whole or not', async () => {
    const sentence = (images: number) =>
      `${images} images at 20 positions: several phases or reconstructions; needed: one volume. Export each as a series of its own.`;
    expect(await summary([...axial, ...slices(20, phase)])).toBe(sentence(40));
    expect(await summary([...axial, ...slices(20, (i) => (i === 4 ? null : phase(i)))])).toBe(sentence(39));
    // The table does not return to quite the same place.
    const near = slices(20, (i) => ({ ...phase(i), position: [-32, -32, 3 * i + 0.05] }));
    expect(await summary([...axial, ...near])).toBe(sentence(40));
  });

  test('as a stray are the first of them', async () => {
    const stray = dicomSlice({ position: [-32, -32, 30], instance: 90, pixel: () => 3000 });
    expect(await summary([...axial, stray])).toBe(
      '32×32×20 3.00 1 of 21 images left out: another at the same position',
    );
    // Two slices of a head taken again because it moved.
    const again = [10, 11].map((i) => dicomSlice({ position: [-32, -32, 3 * i], instance: 60 + i }));
    expect(await summary([...axial, ...again])).toMatch(/^32×32×20 3.00 2 of 22 images left out/);
    const scan = await read([...axial, stray]);
    expect(Math.max(...Array.from(scan.voxels, (_, i) => valueAt(scan, i)))).toBeLessThan(100);
  });
});

describe('what dcm2niix fails on', () => {
  /** dcm2niix, which fails when one of the files holds "poison". */
  const calls: number[] = [];
  const delicate: DicomConverter = async (files) => {
    calls.push(files.length);
    const isPoison = ({ bytes }: NamedBytes) => new TextDecoder('latin1').decode(bytes).includes('poison');
    return files.some(isPoison) ? [] : convertDicomInThread(files);
  };
  const poison = { extra: element(0x00291001, 'LO', 'poison') };

  test('is found by halves and left out', async () => {
    calls.length = 0;
    expect(
      await summary(
        slices(20, (i) => (i === 13 ? poison : {})),
        delicate,
      ),
    ).toMatch(/^32×32×(19|20) 3.00 1 of 20 files left out: dcm2niix cannot read it; 1 slice missing/);
    expect(calls.length).toBeLessThan(12);
  });

  test('everywhere is given up soon', async () => {
    calls.length = 0;
    expect(
      await summary(
        slices(20, () => poison),
        delicate,
      ),
    ).toBe('20 DICOM images that dcm2niix could not convert. Convert the series to NIfTI with another program.');
    expect(calls.length).toBeLessThan(16);
  });

  test('by stacking wrongly is no scan', async () => {
    const half: DicomConverter = (files) => convertDicomInThread(files.slice(0, 8));
    expect(await summary(axial, half)).toBe(
      '8 slices 3.00 mm apart, made of images that span 57 mm. Convert the series to NIfTI with another program.',
    );
  });
});

test('of the volumes of a series the corrected one of the largest is used', async () => {
  const [large] = await convertDicomInThread(named(slices(20)));
  const [small] = await convertDicomInThread(named(slices(4)));
  const convert = (...names: readonly string[]): DicomConverter => {
    return async () => names.map((name) => ({ ...(/^1a/.test(name) ? small! : large!), name: `${name}.nii` }));
  };
  const choice = async (...names: readonly string[]) => (await summary(axial, convert(...names))).replace(/.*: /, '');
  expect(await choice('1', '1a', '1a_Eq_1')).toBe('the largest is used');
  expect(await choice('1a_Eq_1', '1a', '1', '1_Eq_1')).toBe('the one resampled to even slices is used');
  expect(await choice('1', '1_Tilt_1', '1_Tilt_Eq_1', '1_Eq_1')).toBe(
    'the one corrected for gantry tilt and resampled to even slices is used',
  );
});

function named(files: readonly Uint8Array<ArrayBuffer>[]): NamedBytes[] {
  return files.map((bytes, i) => ({ name: `${i}.dcm`, bytes: Uint8Array.from(bytes) }));
}

describe('headers', () => {
  const slice = { position: [-32, -32.5, 3], instance: 1 } as const;

  test('give position and orientation, or neither when they are no numbers', () => {
    expect(parseDicom(dicomSlice(slice))).toMatchObject({
      position: [-32, -32.5, 3],
      orientation: [
        [1, 0, 0],
        [0, 1, 0],
      ],
    });
    const odd = parseDicom(dicomSlice({ ...slice, orientation: [1, 0, 0, 0, 0] }))!;
    expect(odd.orientation).toBeUndefined();
    expect(parseDicom(dicomSlice({ ...slice, orientation: [2, 0, 0, 0, 1, 0] }))!.orientation).toBeUndefined();
  });

  test('private elements of unknown kind and undefined length are passed over', () => {
    const item = (content: Uint8Array) =>
      joined(bytesOf('fe ff 00 e0 ff ff ff ff'), content, bytesOf('fe ff 0d e0 00 00 00 00'));
    const implicit = bytesOf('18 00 60 00 04 00 00 00 31 32 30 20');
    const unknown = joined(
      bytesOf('29 00 10 10 55 4e 00 00 ff ff ff ff'),
      item(implicit),
      bytesOf('fe ff dd e0 00 00 00 00'),
    );
    // The same within a sequence of explicit elements.
    const nested = joined(
      bytesOf('40 00 75 02 53 51 00 00 ff ff ff ff'),
      item(unknown),
      bytesOf('fe ff dd e0 00 00 00 00'),
    );
    for (const extra of [unknown, nested]) {
      const bytes = dicomSlice({ ...slice, extra });
      expect(dicomDefect(bytes)).toBeUndefined();
      expect(parseDicom(bytes)!.pixels!.length).toBe(2 * 32 * 32);
    }
  });

  test('frames in RLE are refused when their segments lie outside', () => {
    const rle = (offsets: readonly number[]) => {
      const header = new Uint8Array(64 + 40);
      const view = new DataView(header.buffer);
      [offsets.length, ...offsets].forEach((value, i) => {
        view.setUint32(4 * i, value, true);
      });
      const size = bytesOf('68 00 00 00'); // 104
      const frame = joined(
        bytesOf('fe ff 00 e0 00 00 00 00 fe ff 00 e0'),
        size,
        header,
        bytesOf('fe ff dd e0 00 00 00 00'),
      );
      const plain = dicomSlice(slice);
      const text = new TextDecoder('latin1').decode(plain);
      const at = text.indexOf('1.2.840.10008.1.2.1\0');
      plain.set(new TextEncoder().encode('1.2.840.10008.1.2.5'), at);
      const pixels = text.lastIndexOf('\xe0\x7f\x10\x00OW');
      return joined(plain.slice(0, pixels), bytesOf('e0 7f 10 00 4f 42 00 00 ff ff ff ff'), frame);
    };
    expect(dicomDefect(rle([64, 90]))).toBeUndefined();
    for (const offsets of [[64, 104], [64, 64], [60, 90], [], Array.from({ length: 16 }, (_, i) => 64 + i)]) {
      expect(dicomDefect(rle(offsets))).toBe('damaged compressed pixels');
    }
  });
});

const joined = (...parts: readonly Uint8Array[]) => concatBytes(parts);

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.split(' '), (byte) => Number.parseInt(byte, 16));
}

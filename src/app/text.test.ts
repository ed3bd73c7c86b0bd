import { expect, test } from 'vitest';
import { HysparkError } from '../errors.ts';
import {
  bytes,
  count,
  countText,
  digits,
  duration,
  fileName,
  hu,
  loss,
  place,
  plural,
  runName,
  sentence,
  sizes,
} from './text.ts';

test('numbers as people read them', () => {
  expect([0, 1536, 100 * 2 ** 20, 5 * 2 ** 40].map(bytes)).toEqual(['0 B', '1.5 KiB', '100 MiB', '5.0 TiB']);
  expect([837, 5_600_000, 3.18e9].map(count)).toEqual(['837', '5.6 M', '3.18 G']);
  expect([45, 200, 7500, Number.NaN].map(duration)).toEqual(['45 s', '3 min 20 s', '2 h 05 min', '–']);
  expect([-1024, 0.00347, 0.000004, undefined].map((value) => digits(value, 4))).toEqual([
    '−1024',
    '0.00347',
    '4e−6',
    '–',
  ]);
  expect([0.99966, 31773.7].map(loss)).toEqual(['0.9997', '31770']);
  const none = [undefined, Number.NaN, Number.POSITIVE_INFINITY, JSON.parse('null')]; // JSON has no other word for the two before
  expect(none.map(loss)).toEqual(['–', '–', '–', '–']);
  expect(none.map((value) => digits(value))).toEqual(['–', '–', '–', '–']);
  expect(sizes([1.9234, 1.9, 3], 'mm')).toBe('1.92 × 1.9 × 3 mm');
  expect(countText({ done: 3, of: 8, secondsLeft: 40 })).toBe('3 of 8, about 40 s left');
  expect([0, 300].map((done) => countText({ done }))).toEqual(['', '300 files']);
  expect([plural(1, 'scan'), plural(2, 'scan')]).toEqual(['1 scan', '2 scans']);
});

test('Hounsfield units and places in the body, from the scanner’s RAS axes', () => {
  expect(hu(-1024, 3071.4)).toBe('−1024 to 3071 HU');
  expect(place([12.34, -45, 0])).toBe('R 12.3 · P 45.0 · S 0.0 mm');
  expect(place([-1, 2, -3])).toBe('L 1.0 · A 2.0 · I 3.0 mm');
});

test('names of runs, files and series', () => {
  const time = new Date('2026-11-23T03:27:42Z');
  expect(runName('2026-11-23T03-27-42')).toBe(
    time.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' }),
  );
  expect(runName('mine')).toBe('mine');
  expect(fileName('study/ct/scan.nii.gz')).toBe('scan.nii.gz');
  expect(fileName('study/ct/(79 DICOM files)')).toBe('ct (79 DICOM files)');
});

test('errors are sentences', () => {
  expect(sentence(new HysparkError('bad-file', { doing: 'Reading', got: 'text' }))).toContain('Reading');
  expect(sentence(new Error('why'))).toBe('why');
  expect(sentence('odd')).toBe('odd');
});

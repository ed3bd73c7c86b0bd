import { describe, expect, test } from 'vitest';
import { concatBytes } from './bytes.ts';
import { mutate, randomSource } from './fuzz.ts';
import { fileHeader, image, scalars, sessionStart, wholeRecordBytes } from './tensorboard.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A plain reader of protobuf: field numbers with numbers for wire types 0, 1 and 5, bytes for 2. */
function fields(bytes: Uint8Array): [number, number | Uint8Array][] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const out: [number, number | Uint8Array][] = [];
  let at = 0;
  const base128 = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = base128();
    const type = key & 7;
    let value: number | Uint8Array;
    if (type === 0) value = base128();
    else {
      const length = type === 1 ? 8 : type === 5 ? 4 : base128();
      if (type === 1) value = view.getFloat64(at, true);
      else if (type === 5) value = view.getFloat32(at, true);
      else value = bytes.subarray(at, at + length);
      at += length;
    }
    out.push([key >> 3, value]);
  }
  return out;
}
/** The message inside a record. */
const payload = (record: Uint8Array) => record.subarray(12, -4);
const text = (value: unknown) => new TextDecoder().decode(value as Uint8Array);

describe('records', () => {
  test('the first record is the one that TensorFlow writes', () => {
    // written by tensorboard 2.21 for wall_time 1.5: length 24, its check, the event, its check
    expect(hex(fileHeader(1.5))).toBe(
      '1800000000000000a37f4b22' + '09000000000000f83f1a0d627261696e2e4576656e743a32' + '2a28646c',
    );
  });

  test('scalars: time, step, tags and values', () => {
    const [time, step, body] = fields(
      payload(scalars({ wallTime: 1.7e9, step: 2 ** 40 + 5 }, { 'loss/train': 0.5, größe: NaN })),
    );
    expect([time, step]).toEqual([
      [1, 1.7e9],
      [2, 2 ** 40 + 5],
    ]);
    const values = fields(body![1] as Uint8Array).map(([, value]) => fields(value as Uint8Array));
    expect(values.map(([tag, value]) => [text(tag![1]), value])).toEqual([
      ['loss/train', [2, 0.5]],
      ['größe', [2, NaN]],
    ]);
  });

  test('images: size and the PNG as it is', () => {
    const png = Uint8Array.from({ length: 300 }, (_, i) => i);
    const body = fields(payload(image({ wallTime: 0, step: 0 }, 'preview', { width: 640, height: 480, png })))[2]![1];
    const [tag, picture] = fields(fields(body as Uint8Array)[0]![1] as Uint8Array);
    expect(text(tag![1])).toBe('preview');
    expect(fields(picture![1] as Uint8Array)).toEqual([
      [1, 480],
      [2, 640],
      [3, 3],
      [4, png],
    ]);
  });

  test.each([
    { wallTime: 0, step: -1 },
    { wallTime: 0, step: 0.5 },
    { wallTime: NaN, step: 1 },
  ])('refuses %o', (time) => {
    expect(() => scalars(time, {})).toThrow('need a whole step, a finite time');
  });
});

describe('a file that was cut off', () => {
  const records = [
    fileHeader(1),
    scalars({ wallTime: 2, step: 1 }, { loss: 1 }),
    sessionStart({ wallTime: 3, step: 1 }),
    scalars({ wallTime: 4, step: 2 }, { loss: 0.5 }),
  ];
  const file = concatBytes(records);
  const ends = records.map((_, i) => concatBytes(records.slice(0, i + 1)).length);

  test('is whole up to the last complete record, wherever the cut', () => {
    for (let cut = 0; cut <= file.length; cut++)
      expect(wholeRecordBytes(file.subarray(0, cut))).toBe(Math.max(0, ...ends.filter((end) => end <= cut)));
  });

  test('damage ends it at the record before, whatever the damage', () => {
    const random = randomSource(4);
    for (let i = 0; i < 5000; i++) {
      const damaged = mutate(file, random);
      const whole = wholeRecordBytes(damaged);
      expect(whole).toBeLessThanOrEqual(damaged.length);
      const first = damaged.findIndex((byte, at) => byte !== file[at]);
      const untouched = ends.filter((end) => end <= (first < 0 ? damaged.length : first));
      expect(whole).toBeGreaterThanOrEqual(Math.max(0, ...untouched));
      expect(hex(file).includes(hex(damaged.subarray(0, Math.min(whole, ends[0]!))))).toBe(true);
    }
  });
});

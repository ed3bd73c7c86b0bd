/**
 * TensorBoard event files: protobuf messages in checked records. A file is a `fileHeader()` and any number of records
 * behind it, so a run appends to its file as it goes.
 * https://github.com/tensorflow/tensorboard/tree/2.17.0/tensorboard/compat/proto (event.proto, summary.proto);
 * https://www.tensorflow.org/tutorials/load_data/tfrecord (the record)
 *
 * TensorBoard looks for names that contain `tfevents`, such as `events.out.tfevents.1700000000.hyspark`.
 */
import { HysparkError } from '../errors.ts';
import { type Bytes, concatBytes } from './bytes.ts';
import { crc32c } from './crc.ts';

/** When something was logged. */
export interface EventTime {
  /** Seconds since 1970. */
  readonly wallTime: number;
  /** Optimiser steps done. A whole number. */
  readonly step: number;
}

/** The first record of a file. @param wallTime seconds since 1970 */
export function fileHeader(wallTime: number): Bytes {
  return record(concatBytes([double(1, wallTime), text(3, 'brain.Event:2')]));
}

/** A run was resumed: TensorBoard drops what an earlier session logged from this step on. */
export function sessionStart(time: EventTime): Bytes {
  return event(time, message(7, varint(1, 1))); // session_log { status: START }
}

/** Values by their tag, e.g. `{ 'loss/train': 0.93 }`. NaN and infinities are shown by TensorBoard as such. */
export function scalars(time: EventTime, values: Readonly<Record<string, number>>): Bytes {
  return event(time, summary(Object.entries(values).map(([tag, value]) => [text(1, tag), float(2, value)])));
}

export interface EventImage {
  readonly width: number;
  readonly height: number;
  /** A whole PNG file. */
  readonly png: Uint8Array;
}

/** One picture; TensorBoard shows its steps under a slider. */
export function image(time: EventTime, tag: string, { width, height, png }: EventImage): Bytes {
  const colorspace = 3; // RGB
  const encoded = [varint(1, height), varint(2, width), varint(3, colorspace), bytes(4, png)];
  return event(time, summary([[text(1, tag), message(4, ...encoded)]]));
}

/**
 * How many bytes at the start of a file are whole, undamaged records. A process that was killed may leave part of a record
 * behind; cut the file to this length before appending, since TensorBoard reads nothing behind a damaged record.
 */
export function wholeRecordBytes(file: Uint8Array): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = 0;
  while (at + 16 <= file.length) {
    const length = Number(view.getBigUint64(at, true));
    const end = at + 12 + length;
    if (end + 4 > file.length || view.getUint32(at + 8, true) !== mask(crc32c(file.subarray(at, at + 8)))) break;
    if (view.getUint32(end, true) !== mask(crc32c(file.subarray(at + 12, end)))) break;
    at = end + 4;
  }
  return at;
}

function event({ wallTime, step }: EventTime, payload: Bytes): Bytes {
  if (!Number.isSafeInteger(step) || step < 0 || !Number.isFinite(wallTime)) {
    const got = `step ${step}, time ${wallTime}`;
    throw new HysparkError('bad-argument', {
      doing: 'writing a TensorBoard event',
      got,
      need: 'a whole step, a finite time',
    });
  }
  return record(concatBytes([double(1, wallTime), varint(2, step), payload]));
}

function summary(values: Bytes[][]): Bytes {
  return message(5, ...values.map((fields) => message(1, ...fields)));
}

/** u64 length, its check, the data, their check. */
function record(data: Bytes): Bytes {
  const out = new Uint8Array(data.length + 16);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, mask(crc32c(out.subarray(0, 8))), true);
  out.set(data, 12);
  view.setUint32(12 + data.length, mask(crc32c(data)), true);
  return out;
}

/** The check is masked so that a record inside a record does not fool a reader: rotated by 15, plus a constant. */
function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

// Protobuf: every field is a key (field number × 8 + wire type) and a value.
// https://protobuf.dev/programming-guides/encoding/

/** Wire type 0: seven bits a byte, least significant first, the top bit says that more follow. */
function varint(field: number, value: number): Bytes {
  return new Uint8Array([field << 3, ...base128(value)]);
}

function base128(value: number): number[] {
  const out: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) out.push((rest % 128) | 128);
  out.push(rest);
  return out;
}

/** Wire type 1: eight bytes. */
function double(field: number, value: number): Bytes {
  const out = new Uint8Array(9);
  out[0] = (field << 3) | 1;
  new DataView(out.buffer).setFloat64(1, value, true);
  return out;
}

/** Wire type 5: four bytes. */
function float(field: number, value: number): Bytes {
  const out = new Uint8Array(5);
  out[0] = (field << 3) | 5;
  new DataView(out.buffer).setFloat32(1, value, true);
  return out;
}

/** Wire type 2: a length and so many bytes. */
function bytes(field: number, value: Uint8Array): Bytes {
  return concatBytes([new Uint8Array([(field << 3) | 2, ...base128(value.length)]), value]);
}

function text(field: number, value: string): Bytes {
  return bytes(field, new TextEncoder().encode(value));
}

function message(field: number, ...fields: Bytes[]): Bytes {
  return bytes(field, concatBytes(fields));
}

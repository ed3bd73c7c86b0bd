/**
 * NIfTI-1 and -2 headers: `nifti-reader-js` reads the fields; here they are judged and the affine is chosen. Every
 * number of a header is taken for possibly absurd.
 */

import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { HysparkError } from '../errors.ts';
import { type Affine, allClose, determinant, fromColumns, perAxis, type Triple, voxelSize } from './affine.ts';
import { dtypeBytes, type Scaling, type ScanDtype } from './voxels.ts';

/** Bytes that hold either header. */
export const NIFTI_HEADER_BYTES = 540;
/** Voxel data beyond this many bytes are refused: 512 × 512 × 4096 int16. */
const LARGEST_VOLUME_BYTES = 2 ** 31;

export interface NiftiHeader {
  readonly shape: Triple;
  readonly dtype: ScanDtype;
  readonly littleEndian: boolean;
  readonly scaling: Scaling;
  readonly affine: Affine;
  /** Position of the first voxel, in the image file. */
  readonly dataOffset: number;
  readonly dataBytes: number;
  readonly notes: readonly string[];
}

const DTYPES: Readonly<Record<number, ScanDtype>> = {
  2: 'uint8',
  4: 'int16',
  8: 'int32',
  16: 'float32',
  64: 'float64',
  256: 'int8',
  512: 'uint16',
  768: 'uint32',
  1024: 'int64',
  1280: 'uint64',
};
const OTHER_DTYPES: Readonly<Record<number, string>> = {
  0: 'unknown',
  1: 'binary',
  32: 'complex64',
  128: 'RGB colour',
  1536: 'float128',
  1792: 'complex128',
  2048: 'complex256',
  2304: 'RGBA colour',
};

/**
 * The header at the start of `bytes` (at least 348 of them). `pair` is whether the voxels lie in an .img file.
 * Errors: `bad-file` for what is not NIfTI or makes no sense, `set-aside` for several volumes, `unsupported`.
 */
export function parseNiftiHeader(bytes: Uint8Array, pair: boolean, doing: string): NiftiHeader {
  const bad = (got: string, need?: string) => new HysparkError('bad-file', { doing, got, need });
  const { fields, view } = readFields(bytes, bad);
  const notes: string[] = [];

  const { dims } = fields;
  const rank = dims[0]!;
  if (!(rank >= 1 && rank <= 7)) throw bad(`${rank} dimensions`, 'one to seven');
  const extents = dims.slice(1, rank + 1);
  if (!extents.every((n) => n >= 1)) throw bad(`dimensions ${extents.join(' × ')}`, 'positive ones');
  const volumes = extents.slice(3).reduce((product, n) => product * n, 1);
  if (volumes > 1) {
    throw new HysparkError('set-aside', {
      doing,
      got: `a ${rank}-D file of ${volumes} volumes (${extents.join(' × ')})`,
      need: 'one volume',
    });
  }
  const shape = perAxis((i) => extents[i] ?? 1);

  const dtype = DTYPES[fields.datatypeCode];
  if (dtype === undefined) {
    const name = OTHER_DTYPES[fields.datatypeCode] ?? `code ${fields.datatypeCode}`;
    throw new HysparkError('unsupported', { doing, got: `voxels of type ${name}`, need: 'integers or real numbers' });
  }
  const dataBytes = shape[0] * shape[1] * shape[2] * dtypeBytes(dtype);
  if (dataBytes > LARGEST_VOLUME_BYTES) {
    throw new HysparkError('unsupported', {
      doing,
      got: `${shape.join(' × ')} voxels of ${dtype}, ${(dataBytes / 2 ** 30).toFixed(1)} GiB`,
      need: 'at most 2 GiB',
    });
  }

  // Single files begin their voxels at 352 (544 for NIfTI-2) or later; a smaller offset is a writer's oversight.
  const least = pair ? 0 : fields instanceof NIFTI2 ? 544 : 352;
  const stated = fields.vox_offset;
  if (!(stated >= 0 && stated <= LARGEST_VOLUME_BYTES)) throw bad(`voxels at byte ${stated}`, 'an offset in the file');
  const dataOffset = Math.max(least, Math.floor(stated));
  if (dataOffset !== stated && stated !== 0) notes.push(`voxel offset ${stated} read as ${dataOffset}`);

  return {
    shape,
    dtype,
    littleEndian: fields.littleEndian,
    scaling: chooseScaling(fields, notes),
    affine: chooseAffine(fields, view, shape, notes, bad),
    dataOffset,
    dataBytes,
    notes,
  };
}

type Fields = NIFTI1 | NIFTI2;

function readFields(bytes: Uint8Array, bad: (got: string, need?: string) => HysparkError) {
  const none = (got: string) => bad(`no NIfTI header: ${got}`);
  if (bytes.length < 348) throw none(`${bytes.length} bytes`);
  const magic = (at: number, digit: number) =>
    bytes[at] === 0x6e && (bytes[at + 1] === 0x2b || bytes[at + 1] === 0x69) && bytes[at + 2] === digit;
  const one = magic(344, 0x31);
  const two = magic(4, 0x32);
  if (!one && !two) {
    const size = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
    throw none(size === 348 ? 'an Analyze 7.5 file, which says nothing of orientation' : 'other content');
  }
  const size = one ? 348 : 540;
  if (bytes.length < size) throw none(`${bytes.length} bytes`);
  // Exactly the header: the reader would follow whatever extension lengths came after it.
  const header = bytes.slice(0, size).buffer as ArrayBuffer;
  const fields: Fields = one ? new NIFTI1() : new NIFTI2();
  try {
    fields.readHeader(header);
  } catch (cause) {
    throw new HysparkError('bad-file', { ...none('a header size that is not NIfTI').parts, cause });
  }
  return { fields, view: new DataView(header) };
}

/** Slope and intercept; a slope that is zero or not finite means none. */
function chooseScaling({ scl_slope: slope, scl_inter: inter }: Fields, notes: string[]): Scaling {
  if (!Number.isFinite(slope) || slope === 0) return { slope: 1, inter: 0 };
  if (!Number.isFinite(inter)) {
    notes.push('intercept not finite, read as 0');
    return { slope, inter: 0 };
  }
  return { slope, inter };
}

/**
 * The sform if its code is not 0, else the qform if its code is not 0, else a plain grid around the centre. Where
 * the voxel sizes of that affine and of the header differ, the qform, which is built from the header's.
 */
function chooseAffine(
  fields: Fields,
  view: DataView,
  shape: Triple,
  notes: string[],
  bad: (got: string, need?: string) => HysparkError,
): Affine {
  // As nibabel reads them: a negative size says nothing of direction.
  const size = perAxis((i) => Math.abs(fields.pixDims[i + 1]!));
  if (perAxis((i) => fields.pixDims[i + 1]!).some((each) => each < 0))
    notes.push('negative voxel sizes read as positive');
  const usable = (a: Affine) => a.every(Number.isFinite) && Math.abs(determinant(a)) > 1e-12;
  const sform = readSform(fields, view);
  const qform = qformAffine(fields, size);
  const centred = (s: Triple) =>
    fromColumns(
      [-s[0], 0, 0],
      [0, s[1], 0],
      [0, 0, s[2]],
      [((shape[0] - 1) / 2) * s[0], (-(shape[1] - 1) / 2) * s[1], (-(shape[2] - 1) / 2) * s[2]],
    );
  let affine = fields.sform_code !== 0 ? sform : fields.qform_code !== 0 ? qform : centred(size);
  if (fields.sform_code === 0 && fields.qform_code === 0) notes.push('no orientation in the header: left is assumed');
  if (!allClose(voxelSize(affine), size, 1e-5, 1e-8) && usable(qform)) {
    // MONAI takes the qform even where it has no code.
    const doubt = fields.qform_code === 0 ? ', which has no code: check the orientation' : '';
    if (fields.sform_code !== 0) notes.push(`sform and voxel sizes disagree: qform used${doubt}`);
    affine = qform;
  }
  if (!usable(affine)) {
    throw bad(`voxel sizes ${size.join(' × ')} mm and no usable orientation`, 'positive, finite ones');
  }
  return affine;
}

/** The three rows at 280 (float32) or 400 (float64): the library hands them out only for some codes. */
function readSform(fields: Fields, view: DataView): Affine {
  const rows = Array.from({ length: 12 }, (_, i) =>
    fields instanceof NIFTI2
      ? view.getFloat64(400 + 8 * i, fields.littleEndian)
      : view.getFloat32(280 + 4 * i, fields.littleEndian),
  );
  return [...rows, 0, 0, 0, 1];
}

/** The rotation of the quaternion (a, b, c, d), a >= 0 implied, times voxel sizes; `pixDims[0]` is the hand of the grid. */
function qformAffine(fields: Fields, size: Triple): Affine {
  const { quatern_b: b, quatern_c: c, quatern_d: d } = fields;
  const rest = 1 - (b * b + c * c + d * d);
  const a = Math.sqrt(Math.max(0, rest));
  const hand = fields.pixDims[0]! < 0 ? -1 : 1;
  // A quaternion of norm above 1 (rounding) is scaled to 1.
  const n = rest < 0 ? 1 / (1 - rest) : 1;
  const x: Triple = [a * a * n + (b * b - c * c - d * d) * n, 2 * n * (b * c + a * d), 2 * n * (b * d - a * c)];
  const y: Triple = [2 * n * (b * c - a * d), (a * a + c * c - b * b - d * d) * n, 2 * n * (c * d + a * b)];
  const z: Triple = [2 * n * (b * d + a * c), 2 * n * (c * d - a * b), (a * a + d * d - b * b - c * c) * n];
  const times = (v: Triple, s: number): Triple => [v[0] * s, v[1] * s, v[2] * s];
  return fromColumns(times(x, size[0]), times(y, size[1]), times(z, size[2] * hand), [
    fields.qoffset_x,
    fields.qoffset_y,
    fields.qoffset_z,
  ]);
}

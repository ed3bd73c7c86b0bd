/** NIfTI files to scans: `.nii`, `.nii.gz`, and `.hdr` with `.img`, gzipped or not. */

import { HysparkError } from '../errors.ts';
import { ByteReader, checkCanHold, type InputFile } from './bytes.ts';
import { NIFTI_HEADER_BYTES, type NiftiHeader, parseNiftiHeader } from './nifti-header.ts';
import { storedGrid } from './orientation.ts';
import type { Scan } from './scan.ts';
import { decodeVoxels } from './voxels.ts';

const READING = 'reading NIfTI';

/**
 * The scan in a `.nii` file, or in a `.hdr` file and its `.img`. Memory: the voxels as stored, once.
 * Errors: `bad-file`, `unsupported`, `set-aside`, each with its reason.
 */
export async function readNifti(file: InputFile, image?: InputFile): Promise<Scan> {
  const { reader, gzip } = await ByteReader.open(file.blob, READING);
  try {
    const start = new Uint8Array(NIFTI_HEADER_BYTES);
    const filled = await reader.read(start);
    const header = parseNiftiHeader(start.subarray(0, filled), image !== undefined, READING);
    if (image) return await readImageFile(image, header);
    checkCanHold(file.blob, gzip, header.dataOffset + header.dataBytes, READING);
    // A NIfTI-1 header is shorter than what was read: its first voxels may be in `start` already.
    const early = start.subarray(Math.min(header.dataOffset, filled), filled);
    return await readVoxels(reader, header, Math.max(0, header.dataOffset - filled), early);
  } finally {
    await reader.close();
  }
}

async function readImageFile(image: InputFile, header: NiftiHeader): Promise<Scan> {
  const { reader, gzip } = await ByteReader.open(image.blob, READING);
  try {
    checkCanHold(image.blob, gzip, header.dataOffset + header.dataBytes, READING);
    return await readVoxels(reader, header, header.dataOffset, new Uint8Array(0));
  } finally {
    await reader.close();
  }
}

/** Passes over `skip` bytes, then reads the voxels, of which `early` are there already. */
async function readVoxels(reader: ByteReader, header: NiftiHeader, skip: number, early: Uint8Array): Promise<Scan> {
  await reader.skip(skip);
  const bytes = new Uint8Array(header.dataBytes);
  const there = early.subarray(0, header.dataBytes);
  bytes.set(there);
  const filled = there.length + (await reader.read(bytes.subarray(there.length)));
  if (filled < header.dataBytes) {
    throw new HysparkError('bad-file', {
      doing: READING,
      got: `${filled} bytes of voxels`,
      need: `${header.dataBytes} for ${header.shape.join(' × ')} ${header.dtype}`,
      advice: 'The file is cut short: copy or download it again',
    });
  }
  await reader.finish();
  const { voxels, table, nonFinite } = decodeVoxels(bytes, header.dtype, header.littleEndian, header.scaling);
  return {
    grid: storedGrid(header.shape, header.affine),
    voxels,
    table,
    dtype: header.dtype,
    nonFinite,
    notes: header.notes,
  };
}

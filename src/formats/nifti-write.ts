/** Writing NIfTI-1 single files (`.nii`, `.nii.gz`) that nibabel, ITK and viewers read. */

import { HysparkError } from '../errors.ts';

/** What can be written without conversion. */
export type NiftiVoxels = Uint8Array | Int16Array | Uint16Array | Int32Array | Float32Array;

export interface NiftiImage {
  /** Voxels along x, y, z. */
  readonly shape: readonly [number, number, number];
  /** Voxel indices to mm (RAS+), 16 numbers row-major. */
  readonly affine: readonly number[];
  readonly voxels: NiftiVoxels;
  /** Which axis runs fastest in `voxels`: x as in the file, or z as everywhere in the engine. */
  readonly fastest: 'x' | 'z';
  /** value = stored * slope + inter; default 1, 0. */
  readonly slope?: number;
  readonly inter?: number;
}

const HEADER_BYTES = 352;

/** The bytes of a `.nii` file, little-endian. Error `bad-shape` when the voxels do not fill the shape. */
export function encodeNifti(image: NiftiImage): Uint8Array<ArrayBuffer> {
  const { shape, voxels, affine } = image;
  const [nx, ny, nz] = shape;
  if (voxels.length !== nx * ny * nz || shape.some((n) => !(n >= 1 && n < 32768))) {
    throw new HysparkError('bad-shape', {
      doing: 'encodeNifti',
      got: `${voxels.length} voxels for ${shape.join(' × ')}`,
      need: 'as many voxels as the shape has, axes below 32768',
    });
  }
  const { code, bytes } = typeOf(voxels);
  const file = new Uint8Array(HEADER_BYTES + voxels.length * bytes);
  const view = new DataView(file.buffer);
  view.setInt32(0, 348, true); // sizeof_hdr
  [3, nx, ny, nz, 1, 1, 1, 1].forEach((n, i) => {
    view.setInt16(40 + 2 * i, n, true); // dim
  });
  view.setInt16(70, code, true); // datatype
  view.setInt16(72, bytes * 8, true); // bitpix
  view.setFloat32(76, 1, true); // pixdim[0]
  for (let c = 0; c < 3; c++) {
    view.setFloat32(80 + 4 * c, Math.hypot(affine[c]!, affine[4 + c]!, affine[8 + c]!), true); // pixdim
  }
  view.setFloat32(108, HEADER_BYTES, true); // vox_offset
  view.setFloat32(112, image.slope ?? 1, true); // scl_slope
  view.setFloat32(116, image.inter ?? 0, true); // scl_inter
  view.setUint8(123, 2); // xyzt_units: mm
  view.setInt16(254, 1, true); // sform_code: scanner coordinates
  for (let i = 0; i < 12; i++) view.setFloat32(280 + 4 * i, affine[i]!, true); // srow_x, srow_y, srow_z
  file.set([0x6e, 0x2b, 0x31, 0], 344); // "n+1"
  writeVoxels(view, image);
  return file;
}

/** `bytes` gzipped, by the platform. */
export async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function typeOf(voxels: NiftiVoxels): { code: number; bytes: number } {
  if (voxels instanceof Uint8Array) return { code: 2, bytes: 1 };
  if (voxels instanceof Int16Array) return { code: 4, bytes: 2 };
  if (voxels instanceof Uint16Array) return { code: 512, bytes: 2 };
  if (voxels instanceof Int32Array) return { code: 8, bytes: 4 };
  return { code: 16, bytes: 4 };
}

/** Every machine that runs WebGPU is little-endian, so elements are copied whole. */
function writeVoxels(view: DataView<ArrayBuffer>, { shape, voxels, fastest }: NiftiImage): void {
  const [nx, ny, nz] = shape;
  if (fastest === 'x') {
    new Uint8Array(view.buffer, HEADER_BYTES).set(new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength));
    return;
  }
  const stored = new (voxels.constructor as new (buffer: ArrayBuffer, offset: number) => NiftiVoxels)(
    view.buffer,
    HEADER_BYTES,
  );
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++) stored[(z * ny + y) * nx + x] = voxels[(x * ny + y) * nz + z]!;
    }
  }
}

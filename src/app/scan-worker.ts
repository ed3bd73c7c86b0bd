/** Reads scans for the page's list and viewer, and makes the sample scans: a Web Worker, so that the page stays responsive. */

import * as Comlink from 'comlink';
import { voxelSize } from '../data/affine.ts';
import { toRas } from '../data/orientation.ts';
import { makePhantom, sampleOptions } from '../data/phantom.ts';
import { type Scan, valueAt } from '../data/scan.ts';
import { hashSource, readCt, readScan, reasonOf } from '../data/source.ts';
import '../data/worker/errors.ts';
import { browserPlatform } from '../data/worker/browser-platform.ts';
import { encodeNifti } from '../formats/nifti-write.ts';
import type { ScanService, Thumbnail, ViewVolume } from './scan-protocol.ts';

/** Of the sample collection: the same scans for everybody, so that a run on them can be resumed. */
const SAMPLE_SEED = 15118; // chest, abdomen, pelvis, neck among the first six
const THUMBNAIL_PIXELS = 88;
/** Shown in thumbnails: soft tissue. */
const [LOW, HIGH] = [-160, 240];

const service: ScanService = {
  async look(source) {
    let hash = '';
    try {
      hash = await hashSource(source, browserPlatform);
      const { scan, audit } = await readCt(source, browserPlatform);
      return { usable: true, hash, audit, thumbnail: thumbnail(scan) };
    } catch (error) {
      return { usable: false, hash, reason: reasonOf(error) };
    }
  },
  async volume(source) {
    const volume = viewVolume(await readScan(source, browserPlatform));
    return Comlink.transfer(volume, [volume.hu.buffer]);
  },
  async sample(index) {
    const { shape, affine, hu } = makePhantom(sampleOptions(SAMPLE_SEED, index));
    const bytes = encodeNifti({ shape, affine, voxels: hu, fastest: 'x' });
    const name = `sample-${String(index + 1).padStart(2, '0')}.nii`;
    return new File([bytes], name, { lastModified: 0 }); // the same file whenever it is made
  },
};

/** The middle axial slice, nearest voxels, in the proportions of the body. */
function thumbnail(scan: Scan): Thumbnail {
  const { shape, strides, offset, affine } = toRas(scan.grid);
  const size = voxelSize(affine);
  const [mmX, mmY] = [shape[0] * size[0], shape[1] * size[1]];
  const scale = THUMBNAIL_PIXELS / Math.max(mmX, mmY);
  const [width, height] = [Math.max(1, Math.round(mmX * scale)), Math.max(1, Math.round(mmY * scale))];
  const grey = new Uint8Array(width * height);
  const base = offset + (shape[2] >> 1) * strides[2];
  for (let v = 0; v < height; v++) {
    const y = Math.floor(((height - 0.5 - v) / height) * shape[1]);
    for (let u = 0; u < width; u++) {
      const x = Math.floor(((width - 0.5 - u) / width) * shape[0]);
      const hu = valueAt(scan, base + x * strides[0] + y * strides[1]);
      grey[v * width + u] = Math.max(0, Math.min(255, (255 * (hu - LOW)) / (HIGH - LOW)));
    }
  }
  return { width, height, grey };
}

function viewVolume(scan: Scan): ViewVolume {
  const { shape, strides, offset, affine } = toRas(scan.grid);
  const [nx, ny, nz] = shape;
  const hu = new Int16Array(nx * ny * nz);
  let at = 0;
  for (let z = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      let from = offset + y * strides[1] + z * strides[2];
      for (let x = 0; x < nx; x++, from += strides[0]) {
        hu[at++] = Math.max(-32768, Math.min(32767, Math.round(valueAt(scan, from))));
      }
    }
  }
  return { shape, spacing: voxelSize(affine), affine, hu };
}

Comlink.expose(service);

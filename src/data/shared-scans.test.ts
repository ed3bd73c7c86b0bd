/** What becomes of every file of `../shared/ct` and of the golden inputs: loaded with which audit, or set aside with which reason. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { convertDicomInThread } from '../node/dicom-converter.ts';
import { findFiles } from '../node/files.ts';
import { nodePlatform } from '../node/platform.ts';
import { sharedPath, testWithShared } from '../testing/shared.ts';
import { voxelSize } from './affine.ts';
import { readDicomSeries } from './dicom.ts';
import { discover } from './discover.ts';
import { readNifti } from './nifti.ts';
import { toRas } from './orientation.ts';
import { DEFAULT_PREPARE, prepareVolume } from './prepare.ts';
import { valueAt } from './scan.ts';
import { type AuditResult, auditSource, readScan } from './source.ts';

/** Path, and the expected audit line or (after a colon) the reason why it is set aside. */
const EXPECTED: Readonly<Record<string, string>> = {
  'ct/dicom/cip_chest64/(79 DICOM files)': '64×64×79 4.17×4.17×3.99 LAS int16 -1007..1095',
  'ct/dicom/ge_head_tilt/(28 DICOM files)':
    '512×611×56 0.49×0.49×2.62 LAS int16 -1500..2002 2 volumes came of the series: the one corrected for gantry tilt and resampled to even slices is used; gantry tilt of 18.5°; sform and voxel sizes disagree: qform used; oblique by 18.5°',
  'ct/dicom/transfer_syntaxes/(15 DICOM files)': ': A single slice (512 × 512 × 1): a localiser or a lone image.',
  'ct/dicom/transfer_syntaxes/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm':
    ': 1 of 1 files left out: transfer syntax 1.2.840.10008.1.2.4.51, which is not supported.',
  'ct/dicom/transfer_syntaxes/CTImage.dcm_DeflatedExplicitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm':
    ': 1 of 1 files left out: deflated transfer syntax, which is not supported.',
  'ct/hostile/nifti_variants/5D_small.nii': ': A 5-D file of 3 volumes (1 × 2 × 3 × 1 × 3); needed: one volume.',
  'ct/hostile/nifti_variants/5D_zeros.nii.gz':
    ': A 5-D file of 3 volumes (256 × 256 × 170 × 1 × 3); needed: one volume.',
  'ct/hostile/nifti_variants/air.hdr.gz': ': Values 0 to 93, no air',
  'ct/hostile/nifti_variants/air2.hdr.gz': ': Values 0 to 93, no air',
  'ct/hostile/nifti_variants/avg152T1_LR_nifti.nii': ': Values 0 to 255, no air',
  'ct/hostile/nifti_variants/avg152T1_LR_nifti.nii.gz': ': Values 0 to 255, no air',
  'ct/hostile/nifti_variants/avg152T1_LR_nifti2.nii.gz': ': Values 0 to 255, no air',
  'ct/hostile/nifti_variants/big.nii.gz': ': Values -8.71 to 19, no air',
  'ct/hostile/nifti_variants/little.nii.gz': ': Values -8.71 to 19, no air',
  'ct/hostile/nifti_variants/not-nifti.nii': ': No NIfTI header: other content.',
  'ct/hostile/nifti_variants/with_extension.nii.gz': ': 2 different whole values from 0 to 1: a label map.',
  'ct/hostile/niivue_CT_AVM.nii.gz': ': Values 0 to 563, no air',
  'ct/hostile/niivue_shear.nii.gz': '306×422×54 0.48×0.48×2.37 RAS uint8 -1024..789 sheared by 18.5°; oblique by 18.5°',
  'ct/nifti/cip_ct-64.nii.gz': '64×64×79 4.17×4.17×3.99 LPS int16 -1007..1095',
  'ct/nifti/cip_lm-64.nii.gz': ': 20 different whole values from 0 to 782: a label map.',
  'ct/nifti/openkbp_pt_100_ct.nii.gz': '128×128×128 5.08×5.08×2.50 PLI int16 -1000..3095',
  'ct/nifti/openkbp_pt_100_seg.nii.gz': ': 8 different whole values from 0 to 7: a label map.',
  'ct/nifti/openkbp_pt_101_ct.nii.gz': '128×128×128 4.69×4.69×3.00 PLI int16 -1000..2976',
  'ct/nifti/openkbp_pt_101_seg.nii.gz': ': 6 different whole values from 0 to 7: a label map.',
  'ct/nifti/openkbp_pt_103_ct.nii.gz': '128×128×128 3.91×3.91×2.50 PLI int16 -1000..2976',
  'ct/nifti/openkbp_pt_103_seg.nii.gz': ': 6 different whole values from 0 to 6: a label map.',
  'ct/nifti/openkbp_pt_104_ct.nii.gz': '128×128×128 3.92×3.92×3.00 PLI int16 -1000..2980',
  'ct/nifti/openkbp_pt_104_seg.nii.gz': ': 7 different whole values from 0 to 7: a label map.',
  'ct/nifti/totalseg_example_ct.nii.gz': '122×101×112 3.00×3.00×3.00 RAS int32 -1207..3382',
  'ct/nifti/totalseg_example_ct_sm.nii.gz': '122×101×30 3.00×3.00×3.00 RAS int16 -1100..1207',
  'ct/nifti/totalseg_example_seg.nii.gz': ': 42 different whole values from 0 to 117: a label map.',
  'nifti/a1_ras_int16.nii.gz': '122×101×30 3.00×3.00×3.00 RAS int16 -1100..1207',
  'nifti/a2_lps_int16.nii.gz': '70×101×61 1.50×1.50×1.50 LPS int16 -1039..3074',
  'nifti/a3_ipr_float32_qform.nii.gz': '33×50×61 3.00×3.00×3.00 IPR float32 -1041..1397',
  'nifti/a4_shear_uint8_scaled.nii.gz':
    '130×120×30 0.48×0.48×2.37 RAS uint8 -1024..732 sheared by 18.5°; oblique by 18.5°',
  'nifti/a5_lpi_int16_scaled.nii.gz': '130×120×20 0.98×0.98×2.00 LPI int16 -1024..1048',
  'nifti/a6_nocodes_int16.nii.gz':
    '37×50×30 2.20×2.50×3.00 LAS int16 -1026..676 no orientation in the header: left is assumed',
  'nifti/a7_sform_mismatch_int16.nii.gz':
    '48×52×28 3.00×3.00×3.00 RAS int16 -1015..1129 sform and voxel sizes disagree: qform used',
  'nifti/a8_half_bigendian.nii': '50×44×36 0.75×0.75×0.75 LPS int16 -1028..1248',
  'nifti/b1_uint8_scaled.nii.gz': ': Values 0 to 552, no air',
  'nifti/b2_oblique_uint8.nii.gz': ': Values 0 to 248, no air',
  'nifti/b3_asl_float32.nii.gz': '117×17×100 0.98×2.00×0.98 ASL float32 -1024..527',
  'nifti/b4_sal_int16_tolerance.nii.gz': '36×40×44 2.25×1.50×1.50 SAL int16 -961..1189',
  'nifti/b5_shear_psr_int16.nii.gz':
    '110×24×100 0.48×2.37×0.48 PSR int16 -1024..284 sheared by 18.5°; oblique by 18.5°',
  'nifti/b6_both_forms_uint8_scaled.nii.gz': '64×60×50 1.50×1.50×1.50 LPS uint8 -300..720',
};

function auditLine(result: AuditResult): string {
  if (!result.usable) return `: ${result.reason}`;
  const { shape, spacing, orientation, dtype, hu, notes } = result.audit;
  const range = `${Math.round(hu.min)}..${Math.round(hu.max)}`;
  const sizes = spacing.map((s) => s.toFixed(2)).join('×');
  return [shape.join('×'), sizes, orientation, dtype, range, notes.join('; ')].join(' ').trim();
}

describe('every shared file', () => {
  testWithShared('ct')('is loaded or set aside as expected', async () => {
    const files = await findFiles([sharedPath('ct'), sharedPath('golden/inputs/nifti')]);
    const { scans, setAside, ignored } = await discover(files, nodePlatform.open);
    expect(setAside).toEqual([]);
    expect(ignored).toBe(0);
    expect(scans.flatMap((scan) => scan.files.map((file) => file.path)).sort()).toEqual(
      files.map((f) => f.path).sort(),
    );
    expect(scans.map((scan) => scan.path)).toEqual(Object.keys(EXPECTED).sort());
    for (const scan of scans) {
      const line = auditLine(await auditSource(scan, nodePlatform));
      const expected = EXPECTED[scan.path]!;
      // Reasons about values are compared up to their common ending.
      expect(`${scan.path} ${expected.endsWith('no air') ? line.slice(0, expected.length) : line}`).toBe(
        `${scan.path} ${expected}`,
      );
    }
  });

  testWithShared('ct')('the chest is the same volume from NIfTI and from DICOM', async () => {
    const files = await findFiles([sharedPath('ct')]);
    const { scans } = await discover(files, nodePlatform.open);
    const read = (path: string) => readScan(scans.find((s) => s.path === path)!, nodePlatform);
    const nifti = await read('nifti/cip_ct-64.nii.gz');
    const dicom = await read('dicom/cip_chest64/(79 DICOM files)');
    const [a, b] = [toRas(nifti.grid), toRas(dicom.grid)];
    expect(b.shape).toEqual(a.shape);
    // The DICOM headers give slice positions to 0.01 mm, so that over 79 slices the grids part by that much.
    expect(Math.max(...b.affine.map((value, i) => Math.abs(value - a.affine[i]!)))).toBeLessThan(0.01);
    let different = 0;
    for (let x = 0; x < a.shape[0]; x++) {
      for (let y = 0; y < a.shape[1]; y++) {
        for (let z = 0; z < a.shape[2]; z++) {
          const at = (g: typeof a) => g.offset + x * g.strides[0] + y * g.strides[1] + z * g.strides[2];
          if (valueAt(nifti, at(a)) !== valueAt(dicom, at(b))) different++;
        }
      }
    }
    expect(different).toBe(0);
    const [p, q] = [prepareVolume(nifti, DEFAULT_PREPARE), prepareVolume(dicom, DEFAULT_PREPARE)];
    expect(q.shape).toEqual(p.shape);
    let sum = 0;
    for (let i = 0; i < p.voxels.length; i++) sum += Math.abs(p.voxels[i]! - q.voxels[i]!) / 65535;
    expect(sum / p.voxels.length).toBeLessThan(1e-3);
  });

  testWithShared('ct')('a series with a file cut short, a double and a foreign file is read without them', async () => {
    const dir = sharedPath('ct/dicom/cip_chest64');
    const names = readdirSync(dir).slice(0, 20);
    const bytes = names.map((name) => Uint8Array.from(readFileSync(join(dir, name))));
    bytes[7] = bytes[7]!.slice(0, 5000);
    bytes.push(bytes[3]!, new Uint8Array(1000));
    const files = bytes.map((content, i) => ({ path: String(i), blob: new Blob([content]) }));
    const scan = await readDicomSeries(files, convertDicomInThread);
    expect(scan.grid.shape.slice(0, 2)).toEqual([64, 64]);
    expect(scan.notes).toEqual([
      '1 of 22 files left out: cut short within the pixels',
      '1 of 22 files left out: the same image twice',
      '1 of 22 files left out: not a DICOM file',
      '1 slice missing and interpolated, a gap of 8.0 mm at most',
      '2 volumes came of the series: the one resampled to even slices is used',
    ]);
    // dcm2niix fills the gap at the series' own spacing; of the last slice it may lose a part by rounding.
    expect(voxelSize(scan.grid.affine)[2]).toBeCloseTo(3.987, 2);
    expect(scan.grid.shape[2]).toBeGreaterThanOrEqual(19);
  });

  testWithShared('ct')('every lossless transfer syntax gives the same slice', async () => {
    const dir = sharedPath('ct/dicom/transfer_syntaxes');
    const slice = async (name: string) => {
      const [made] = await convertDicomInThread([
        { name: '0.dcm', bytes: Uint8Array.from(readFileSync(join(dir, name))) },
      ]);
      const scan = await readNifti({ path: name, blob: new Blob([made!.bytes]) });
      return Float32Array.from(scan.voxels, (_, i) => valueAt(scan, i));
    };
    const plain = await slice('CTImage.dcm');
    const lossless = /_1\.2\.840\.10008\.1\.2(\.1|\.2|\.5|\.4\.57|\.4\.70|\.4\.80|\.4\.90)?\.dcm$/;
    const names = readdirSync(dir).filter((name) => lossless.test(name));
    expect(names.length).toBe(8);
    for (const name of names) {
      const same = (await slice(name)).every((value, i) => value === plain[i]);
      expect(`${name} ${same}`).toBe(`${name} true`);
    }
  });
});

/** Debian's python with `python3-nibabel`, an independent reader of NIfTI: some tests ask it for its opinion. */

import { execFileSync } from 'node:child_process';

export function hasNibabel(): boolean {
  try {
    execFileSync('/usr/bin/python3', ['-c', 'import nibabel'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** GPUs that a run loses: another is tried, but not for ever. */

import { HysparkError } from '../errors.ts';
import type { Device } from '../gpu/device.ts';

/** A device lost so often without a new checkpoint will be lost again. */
const MOST = 3;
/** The news of a lost device may come so many milliseconds after the failure of what was under way. */
const NEWS_MS = 200;

export class LostDevices {
  private count = 0;

  /** There is a new checkpoint: what is lost next is little. */
  saved(): void {
    this.count = 0;
  }

  /** Whether work failed because the device was lost, and another is worth a try. Throws where devices were lost too often. */
  async isAnotherWorthIt({ lost, report }: Device): Promise<boolean> {
    const cause = await Promise.race([lost, new Promise<undefined>((resolve) => setTimeout(resolve, NEWS_MS))]);
    if (cause?.code !== 'device-lost') return false;
    this.count++;
    if (this.count <= MOST) return true;
    throw new HysparkError('device-lost', {
      doing: `Using the GPU (${report.name})`,
      got: `one that was lost ${this.count} times without a new checkpoint`,
      advice:
        'Its work may be too large, or take so long that the system resets the GPU: start a run from its weights with a smaller batch, or one of a smaller preset',
      cause,
    });
  }
}

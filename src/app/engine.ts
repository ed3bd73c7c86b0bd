/** The one place where the page gets its engine. */

import { createEngine } from '../index.ts';
import type { EngineService } from '../worker/protocol.ts';

export function startEngine(): EngineService {
  return createEngine();
}

/** What a benchmark page tells whoever drives it, as `window.__bench`. */

import type { BenchReport, Progress } from '../benchmark.ts';

export interface PageState {
  readonly status: 'idle' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly progress?: Progress;
  readonly result?: BenchReport;
  /** A sentence. */
  readonly error?: string;
}

declare global {
  interface Window {
    __bench: PageState;
  }
}

/** What the data workers do, as types: the same whether they are threads, Web Workers or called directly. */

import type { Audit } from '../audit.ts';
import type { PreparedVolume, PrepareOptions } from '../prepare.ts';
import type { AuditResult, ScanSource } from '../source.ts';

export type PrepareResult =
  | { readonly usable: true; readonly audit: Audit; readonly volume: PreparedVolume }
  | { readonly usable: false; readonly reason: string };

/** Neither throws for what is in a scan's files: the reason comes back as a sentence. */
export interface DataService {
  audit(source: ScanSource): Promise<AuditResult>;
  /** With `hash`, the content that was read must have it. */
  prepare(source: ScanSource, options: PrepareOptions, hash?: string): Promise<PrepareResult>;
}

/** A running service. */
export interface DataWorker {
  readonly service: DataService;
  /** Settles, with why, when the worker dies; its calls then never return. */
  readonly died: Promise<string>;
  close(): void;
}

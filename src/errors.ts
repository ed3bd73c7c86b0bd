/**
 * The one error type of the engine. A message is built from its parts so that every error says what was being
 * done, what came, what is needed and what to do about it.
 */

/** What went wrong, for programs. The sentence is for people. */
export type ErrorCode =
  | 'no-adapter' // WebGPU is missing, or no adapter answered
  | 'device-lost' // the GPU went away while in use
  | 'gpu-validation' // WebGPU refused a command: a defect of the engine, names the kernel
  | 'gpu-out-of-memory' // an allocation failed on the device
  | 'shader-compilation' // WGSL did not compile, names the kernel
  | 'exceeds-limits' // a plan needs more than the adapter offers
  | 'bad-shape' // a tensor has the wrong shape or channel count
  | 'bad-dtype' // a tensor has the wrong element type
  | 'bad-argument' // an option or value out of its range
  | 'bad-state' // called in the wrong order, or after dispose
  | 'not-differentiable' // a gradient was asked of an op that has none
  | 'bad-file' // a file is damaged or not what it claims to be
  | 'unsupported' // a valid file or request that the engine does not handle
  | 'set-aside' // a scan that cannot be used for training, with its reason
  | 'mismatch' // a checkpoint does not fit the model: keys or shapes
  | 'storage' // reading or writing a store failed (disk full, quota, permission)
  | 'not-finite' // NaN or infinity where a finite number is needed
  | 'aborted'; // the caller cancelled

export interface ErrorParts {
  /** What was being done, e.g. `linear: argument "weight"`. */
  readonly doing: string;
  /** What came, e.g. `shape [3, 5]`. */
  readonly got?: string;
  /** What is needed, e.g. `shape [4, 5]`. */
  readonly need?: string;
  /** What to do about it, a sentence without its full stop. */
  readonly advice?: string;
  readonly cause?: unknown;
}

/** Plain data form of an error, for crossing a worker boundary (see `toPlain`, `fromPlain`). */
export interface PlainError extends Omit<ErrorParts, 'cause'> {
  readonly code: ErrorCode;
  readonly stack?: string;
}

export class HysparkError extends Error {
  override readonly name = 'HysparkError';
  readonly code: ErrorCode;
  readonly parts: ErrorParts;

  constructor(code: ErrorCode, parts: ErrorParts) {
    super(sentence(parts), parts.cause === undefined ? undefined : { cause: parts.cause });
    this.code = code;
    this.parts = parts;
  }

  toPlain(): PlainError {
    const { doing, got, need, advice } = this.parts;
    return { code: this.code, doing, got, need, advice, stack: this.stack };
  }

  static fromPlain(plain: PlainError): HysparkError {
    const error = new HysparkError(plain.code, plain);
    if (plain.stack) error.stack = plain.stack;
    return error;
  }
}

/** An error that is not of the engine becomes one of code `bad-state`. */
export function asError(cause: unknown, doing: string): HysparkError {
  if (cause instanceof HysparkError) return cause;
  const got = cause instanceof Error ? cause.message : String(cause);
  return new HysparkError('bad-state', { doing, got, cause });
}

function sentence({ doing, got, need, advice }: ErrorParts): string {
  let text = doing;
  if (got !== undefined) text += `: got ${got}`;
  if (need !== undefined) text += `${got === undefined ? ':' : ','} need ${need}`;
  if (advice !== undefined) text += `. ${advice}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

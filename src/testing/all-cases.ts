/** The cases of every op: whatever `src/ops/*.cases.ts` exports. */

import type { OpCases } from './op-cases.ts';

const modules = import.meta.glob<Record<string, OpCases<never>>>('../ops/*.cases.ts', { eager: true });

export const ALL_CASES = Object.values(modules).flatMap((module) =>
  Object.values(module).filter((value) => 'samples' in value),
);

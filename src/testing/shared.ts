/** Files that tests may find beside the project, in `../shared`; they are never part of it. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'vitest';

/** The path of a shared file or folder, relative to the project's root. */
export function sharedPath(path: string): string {
  return join('../shared', path);
}

/** `test` where `../shared/<path>` is present; elsewhere a skipped test whose name says what is missing. */
export function testWithShared(path: string) {
  const present = existsSync(sharedPath(path));
  return (name: string, body: () => Promise<void> | void, timeout = 120_000) =>
    test.skipIf(!present)(present ? name : `${name} (NOT CHECKED: ${sharedPath(path)} is absent)`, { timeout }, body);
}

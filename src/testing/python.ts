/** For tests: Debian's Python, whose packages are other people's readers and writers of the same formats. */
import { spawnSync } from 'node:child_process';

export const PYTHON = '/usr/bin/python3';

/** Whether a package is there. It is found, not imported: an installation that is broken must fail tests, not skip them. */
export function hasPythonPackage(name: string): boolean {
  const script = 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)';
  return spawnSync(PYTHON, ['-c', script, name]).status === 0;
}

/** What a script prints; throws what it complains about. */
export function runPython(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(PYTHON, ['-c', script, ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new Error(`python: ${stderr}`);
  return stdout;
}

export const hasTorch = hasPythonPackage('torch');
/** To be put behind the title of tests that need it. */
export const torchNote = hasTorch ? '' : ' (SKIPPED: python3-torch is not installed, apt-get install python3-torch)';

/** Starts the Python scripts of this folder. */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { HysparkError } from '../../errors.ts';

/**
 * Runs a script to its end; what it complains about and its progress go to this process's standard error.
 *
 * @param python an interpreter that has PyTorch
 * @param input what it reads, as JSON
 * @returns what it prints, parsed
 * @throws HysparkError `unsupported` where Python or the script fails
 */
export async function runScript<T>(
  python: string,
  script: string,
  args: readonly string[],
  input?: unknown,
): Promise<T> {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(python, ['-B', file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stdin.on('error', () => {}); // it ended before it read: its status says so
  child.stdin.end(input === undefined ? '' : JSON.stringify(input));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => {
      const advice = 'Name an interpreter that has PyTorch: --python PATH';
      reject(new HysparkError('unsupported', { doing: `Starting ${python}`, got: cause.message, advice, cause }));
    });
    child.once('close', resolve);
  });
  if (status !== 0) {
    throw new HysparkError('unsupported', { doing: `PyTorch (${script})`, got: `exit status ${status}`, need: '0' });
  }
  // Python writes NaN and Infinity, which are no JSON; as null they become NaN, which is close to nothing.
  const text = Buffer.concat(chunks)
    .toString()
    .replace(/-?\b(NaN|Infinity)\b/g, 'null');
  return JSON.parse(text, (_, value) => (value === null ? Number.NaN : value)) as T;
}

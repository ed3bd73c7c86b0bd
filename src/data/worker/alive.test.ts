import * as Comlink from 'comlink';
import { expect, test } from 'vitest';
import { HysparkError } from '../../errors.ts';
import { whileAlive } from './alive.ts';

const error = new HysparkError('bad-state', { doing: 'Asking', got: 'a worker that died' });

test('calls answer while the worker lives, and reject once it is dead', async () => {
  let die!: (error: HysparkError) => void;
  const death = new Promise<HysparkError>((resolve) => {
    die = resolve;
  });
  const service = whileAlive(
    {
      double: async (n: number) => 2 * n,
      fail: async () => Promise.reject(new Error('no')),
      hang: () => new Promise<void>(() => undefined),
      tell: async (listener: () => void) => Comlink.proxyMarker in listener,
    },
    death,
  );
  expect(await service.double(4)).toBe(8);
  await expect(service.fail()).rejects.toThrow('no');
  expect(await service.tell(() => undefined)).toBe(true); // a function crosses as a proxy
  const waiting = service.hang();
  die(error);
  await expect(waiting).rejects.toBe(error);
  await expect(service.double(4)).rejects.toBe(error);
});

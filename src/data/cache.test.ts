import { describe, expect, test } from 'vitest';
import { MemoryStore } from '../store/memory.ts';
import { VolumeCache } from './cache.ts';
import type { PreparedVolume } from './prepare.ts';

/** A volume of 2 × 3 × n voxels whose file has 24 + 12 n bytes. */
function volume(n: number, value = 7): PreparedVolume {
  return { shape: [2, 3, n], voxels: new Uint16Array(6 * n).fill(value), planes: Uint32Array.of(3 * n, 3 * n) };
}

describe('volume cache', () => {
  test('gives back what was put, plane by plane, also to a later run', async () => {
    const store = new MemoryStore();
    const cache = await VolumeCache.open(store, 1e6);
    const voxels = Uint16Array.from({ length: 24 }, (_, i) => i);
    await cache.put('a', { shape: [2, 3, 4], voxels, planes: Uint32Array.of(11, 12) });
    for (const each of [cache, await VolumeCache.open(store, 1e6)]) {
      const reader = (await each.get('a'))!;
      expect(reader.shape).toEqual([2, 3, 4]);
      expect(Array.from(reader.planes)).toEqual([11, 12]);
      expect(await reader.read(1, 2)).toEqual(voxels.slice(12));
      expect(await each.get('b')).toBeUndefined();
    }
  });

  test('drops what was used longest ago', async () => {
    const store = new MemoryStore();
    const cache = await VolumeCache.open(store, 500);
    for (const key of ['a', 'b', 'c']) await cache.put(key, volume(10)); // 144 bytes each
    await cache.get('a');
    await cache.put('d', volume(10));
    expect(cache.bytes).toBe(432);
    expect(await cache.get('b')).toBeUndefined();
    for (const key of ['a', 'c', 'd']) expect(await cache.get(key)).toBeDefined();
    await cache.get('a');
    await cache.flush();
    const later = await VolumeCache.open(store, 300); // the order of use outlives the run
    expect(later.count).toBe(2);
    expect(await later.get('c')).toBeUndefined();
  });

  test('a volume above the limit is not kept', async () => {
    const cache = await VolumeCache.open(new MemoryStore(), 100);
    expect(await cache.put('a', volume(10))).toBe(false);
    expect(cache.bytes).toBe(0);
  });

  test('a full disk makes it smaller and fails nothing', async () => {
    const store = new MemoryStore(400);
    const cache = await VolumeCache.open(store, 1e6);
    for (const key of ['a', 'b', 'c', 'd']) await cache.put(key, volume(10));
    expect(cache.bytes).toBeLessThanOrEqual(400);
    expect(cache.limit).toBeLessThan(400);
    expect(cache.trouble).toContain('no space left');
    expect(await cache.get('d')).toBeDefined();
    store.capacity = 0; // now others have filled the disk
    expect(await cache.put('e', volume(10))).toBe(false);
  });

  test('a volume that cannot be removed fails nothing', async () => {
    const store = new MemoryStore();
    const cache = await VolumeCache.open(store, 300);
    for (const key of ['a', 'b']) await cache.put(key, volume(10)); // 144 bytes each
    store.remove = () => Promise.reject(new Error('EPERM'));
    expect(await cache.put('c', volume(10))).toBe(false);
    expect(cache.trouble).toBe('EPERM');
    expect(await cache.get('a')).toBeDefined();
    expect((await VolumeCache.open(store, 100)).count).toBe(2);
  });

  test('damaged files are not used', async () => {
    const store = new MemoryStore();
    const cache = await VolumeCache.open(store, 1e6);
    await cache.put('a', volume(10));
    await store.write('volumes/a', new Uint8Array(144));
    expect(await cache.get('a')).toBeUndefined();
    await cache.put('b', volume(10));
    await store.remove('volumes/b');
    expect(await cache.get('b')).toBeUndefined();
    await store.write('volumes/index.json', new TextEncoder().encode('{'));
    expect((await VolumeCache.open(store, 1e6)).count).toBe(0);
  });
});

import { expect, test } from 'vitest';
import { MemoryStore } from '../../store/memory.ts';
import { directPool, fileOf, memoryPlatform, phantomFile } from '../../testing/data.ts';
import { createLoaderService } from './loader-service.ts';

const OPTIONS = { seed: 1, batch: 1, cropsPerScan: 1, crop: 32, heldOut: 0.2 };

test('a loader that is closed stops looking for scans', async () => {
  const bytes = phantomFile(1);
  const files = Array.from({ length: 60 }, (_, i) => fileOf(`${i}.nii`, Uint8Array.from(bytes).fill(i, 400, 408)));
  const service = createLoaderService(memoryPlatform, directPool(), new MemoryStore());
  let named = 0;
  const opening = service.open(files, OPTIONS, 1e9, (done, of) => {
    named = done;
    expect(of).toBe(60);
    if (done === 3) void service.close();
  });
  await expect(opening).rejects.toMatchObject({ code: 'aborted' });
  expect(named).toBeLessThan(20); // those that were under way
});

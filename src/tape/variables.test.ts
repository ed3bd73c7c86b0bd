import { expect, test } from 'vitest';
import { testDevice } from '../testing/device.ts';
import { Variables } from './variables.ts';

test('tensors read one after the other come from the device together, as many as may', async () => {
  const device = await testDevice();
  const variables = new Variables(device.limits.maxStorageBufferBindingSize);
  const sizes = [3, 5, 2, 40, 1]; // words; the fourth alone is more than may come at once
  const tensors = sizes.map((size, i) => variables.parameter(`p${i}`, [size]));
  await variables.allocate(device, true);
  const values = tensors.map(({ size }, i) => Float32Array.from({ length: size }, (_, j) => 100 * i + j));
  tensors.forEach((tensor, i) => void variables.write(tensor, values[i]!));
  const trips = async (order: readonly number[], bytes?: number) => {
    const read = variables.readerOf(tensors, bytes);
    const before = device.counters.submissions;
    const got = await Promise.all(order.map((i) => read(tensors[i]!))); // asked for together, they still take turns
    expect(got).toEqual(order.map((i) => values[i]));
    return device.counters.submissions - before;
  };
  expect(await trips([0, 1, 2, 3, 4])).toBe(1);
  expect(await trips([0, 1, 2, 3, 4], 40)).toBe(3); // 3 + 5 + 2, 40, 1
  expect(await trips([0, 1, 2, 3, 4], 39)).toBe(4); // 3 + 5, 2, 40, 1
  expect(await trips([4, 0, 1, 1])).toBe(3); // out of turn, and twice
  const read = variables.readerOf(tensors, 32);
  await read(tensors[0]!);
  variables.write(tensors[2]!, Float32Array.of(7, 8)); // not brought along yet
  expect(await read(tensors[2]!)).toEqual(Float32Array.of(7, 8));
  variables.destroy();
});

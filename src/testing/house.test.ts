import { describe, expect, test } from 'vitest';
import {
  documents,
  gpuTypes,
  importDirections,
  MOST_LINES,
  noMachineNames,
  platformImports,
  projectFiles,
  shortFiles,
  TEST_COMMAND,
} from './house.ts';

const file = (path: string, text: string) => ({ path, text });
/** Joined here, so that this file itself names none. */
const HOST = ['registry', 'example', 'org'].join('.');
const FOLDER = ['', 'home', 'someone'].join('/');

describe('the repository keeps the rules', () => {
  const files = projectFiles();

  test('it is found', () => {
    const paths = files.map(({ path }) => path);
    expect(paths).toContain('src/testing/house.test.ts');
    expect(paths).toContain('package.json');
    expect(paths.filter((path) => path.includes('node_modules'))).toEqual([]);
  });

  for (const rule of [shortFiles, importDirections, gpuTypes, platformImports, noMachineNames, documents]) {
    test(rule.name, () => expect(rule(files)).toEqual([]));
  }
});

describe('each rule finds what breaks it', () => {
  test('shortFiles', () => {
    const full = 'x\n'.repeat(MOST_LINES);
    expect(shortFiles([file('shaders/a.wgsl.ts', full), file('package-lock.json', `${full}x\n`)])).toEqual([]);
    expect(shortFiles([file('shaders/a.wgsl.ts', `${full}x\n`)])).toEqual([
      'shaders/a.wgsl.ts has 501 lines, at most 500 are allowed',
    ]);
    expect(shortFiles([file('src/app/style.css', `${full}x`)])).toHaveLength(1);
  });

  test.each([
    ['src/ops/linear.ts', "import { linear } from '../nn/linear.ts';"],
    ['src/gpu/device.ts', "import type { Tensor } from '../tape/tensor.ts';"],
    ['src/tape/plan.ts', "import { BrickGrid } from '../bricks/grid.ts';"],
    ['src/app/main.ts', "import { nodePlatform } from '../node/platform.ts';"],
    ['src/models/hyspark/model.ts', "import { engine } from '../../index.ts';"],
    ['src/data/crop.ts', "import { BrickGrid } from '../bricks/grid.ts';"],
    ['src/data/prepare.ts', "export * from '../formats/nifti-write.ts';"],
    ['src/store/opfs.ts', "await import('../worker/client.ts');"],
    ['src/nn/norm.ts', "import { readNifti } from '../data/nifti.ts';"],
    ['src/nn/norm.ts', "import {\n  a,\n  b,\n} from '../testing/oracles.ts';"],
    ['src/nn/norm.ts', "import '../models/hyspark/model.ts';"],
    ['src/nn/norm.ts', "new Worker(new URL('../worker/engine.ts', import.meta.url));"],
    ['src/nn/norm.ts', "import.meta.glob<Module>('../models/*.ts');"],
    ['src/nn/norm.ts', "import.meta.glob('./*.ts'); /* */ import '../models/hyspark/model.ts';"],
    ['src/nn/norm.ts', "import { x } from '../somewhere/x.ts';"],
    ['src/errors.ts', "import { Random } from './random.ts';"],
    ['shaders/pool.wgsl.ts', "import { HysparkError } from '../src/errors.ts';"],
  ])('importDirections: %s, %s', (path, text) => {
    expect(importDirections([file(path, text)])).toHaveLength(1);
  });

  test.each([
    ['src/bench/kernels.ts', "import { openDevice } from '../index.ts';"],
    ['src/bricks/table.ts', "import type { Plan } from '../tape/plan.ts';"],
    ['src/gpu/device.ts', "import type { Kernel } from '../../shaders/lib/kernel.ts';"],
    ['src/models/hyspark/checkpoint.ts', "import { readPth } from '../../formats/pth.ts';"],
    ['src/formats/pth.ts', "import { HysparkError } from '../errors.ts';"],
    ['src/formats/pth.test.ts', "import { readNifti } from '../data/nifti.ts';"],
    ['src/ops/linear.cases.ts', "import { dense } from '../testing/oracles.ts';"],
    ['src/ops/linear.ts', "// import { linear } from '../nn/linear.ts';"],
  ])('importDirections allows %s, %s', (path, text) => {
    expect(importDirections([file(path, text)])).toEqual([]);
  });

  test('gpuTypes', () => {
    expect(gpuTypes([file('src/ops/gemm.ts', 'let b: GPUBuffer;'), file('src/app/a.ts', 'navigator.gpu')])).toEqual([
      'src/ops/gemm.ts names GPUBuffer: only src/gpu and src/tape may',
      'src/app/a.ts names navigator.gpu: only src/gpu and src/tape may',
    ]);
    const allowed = ['src/gpu/device.ts', 'src/tape/plan.ts', 'src/ops/gemm.test.ts'];
    expect(gpuTypes(allowed.map((path) => file(path, 'let b: GPUBuffer;')))).toEqual([]);
    expect(gpuTypes([file('src/ops/gemm.ts', '/** A GPUBuffer.\n GPUQueue */ // GPUDevice')])).toEqual([]);
  });

  test('platformImports', () => {
    const read = "import { readFile } from 'node:fs/promises';";
    expect(platformImports([file('src/data/nifti.ts', read), file('src/train/loop.ts', 'Deno.readFile(x)')])).toEqual([
      "src/data/nifti.ts uses 'node:fs/promises': only src/node, src/bench, src/store and src/gpu/dawn.ts may",
      'src/train/loop.ts uses Deno.readFile: only src/node, src/bench, src/store and src/gpu/dawn.ts may',
    ]);
    const allowed = ['src/node/files.ts', 'src/gpu/dawn.ts', 'src/store/folder.ts', 'src/data/nifti.test.ts'];
    expect(platformImports(allowed.map((path) => file(path, read)))).toEqual([]);
  });

  test('noMachineNames', () => {
    expect(noMachineNames([file('package-lock.json', `"resolved": "https://${HOST}/a.tgz"`)])).toHaveLength(1);
    expect(noMachineNames([file('README.md', `cd ${FOLDER}/project`)])).toHaveLength(1);
    expect(noMachineNames([file('README.md', 'see ../shared and https://www.w3.org/TR/webgpu/, src/home/x')])).toEqual(
      [],
    );
  });

  test('documents', () => {
    const right = [
      file('README.md', `Tests: ${TEST_COMMAND}`),
      file('ARCHITECTURE.md', 'The design'),
      file('.ci/run', TEST_COMMAND),
    ];
    expect(documents(right)).toEqual([]);
    expect(documents(right.slice(1))).toEqual(['README.md is missing or empty']);
    expect(documents([file('README.md', 'Tests: none'), ...right.slice(1)])).toHaveLength(1);
  });
});

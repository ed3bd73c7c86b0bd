/** `hyspark-webgpu/data`: scans to crops without the engine. In Node also what `node/data.ts` adds. */

export { filesFromDrop, filesFromInput } from './data/browser-files.ts';
export { VolumeCache } from './data/cache.ts';
export { type Crop, drawCrop } from './data/crops.ts';
export * from './data/dataset.ts';
export type { SetAside } from './data/discover.ts';
export * from './data/inspect.ts';
export * from './data/loader.ts';
export { makePhantom, type Phantom, type PhantomOptions, sampleOptions } from './data/phantom.ts';
export * from './data/prepare.ts';
export type { Cursor } from './data/sampler.ts';
export type { Scan } from './data/scan.ts';
export { type FoundFile, type Platform, readScan, type ScanSource } from './data/source.ts';
export { memoryReader, type VolumeReader } from './data/volume-reader.ts';
export { startDataWorker } from './data/worker/browser.ts';
export { browserPlatform } from './data/worker/browser-platform.ts';
export { DataPool } from './data/worker/pool.ts';
export type { DataService, DataWorker, PrepareResult } from './data/worker/protocol.ts';
export { createDataService } from './data/worker/service.ts';
export { type ErrorCode, HysparkError } from './errors.ts';
export { OpfsStore } from './store/opfs.ts';
export type { Store } from './store/store.ts';

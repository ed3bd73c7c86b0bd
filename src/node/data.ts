/** `hyspark-webgpu/data` in Node: paths as files, threads as workers, a folder as a store. */

export * from '../data.ts';
export { FolderStore } from '../store/folder.ts';
export { createDataPool } from './data-pool.ts';
export { findFiles } from './files.ts';
export { nodePlatform } from './platform.ts';

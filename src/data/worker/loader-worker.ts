/** The Web Worker of the loader; it starts the data workers. */

import { OpfsStore } from '../../store/opfs.ts';
import { startDataWorker } from './browser.ts';
import { browserPlatform } from './browser-platform.ts';
import { exposeLoaderService } from './expose.ts';
import { createLoaderService } from './loader-service.ts';
import { DataPool } from './pool.ts';

/** One core is left to the page and the engine. */
const workers = Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1));
exposeLoaderService(createLoaderService(browserPlatform, new DataPool(startDataWorker, workers), new OpfsStore()));

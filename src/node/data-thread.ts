/** The worker thread of the data path. */

import { parentPort } from 'node:worker_threads';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { exposeDataService } from '../data/worker/expose.ts';
import { createDataService } from '../data/worker/service.ts';
import { nodePlatform } from './platform.ts';

exposeDataService(createDataService(nodePlatform), nodeEndpoint(parentPort!));

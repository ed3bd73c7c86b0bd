/** The Web Worker of the data path. */

import { browserPlatform } from './browser-platform.ts';
import { exposeDataService } from './expose.ts';
import { createDataService } from './service.ts';

exposeDataService(createDataService(browserPlatform));

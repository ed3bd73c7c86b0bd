/** Put in by `vite.config.ts`. */
declare const __COMMIT__: string;

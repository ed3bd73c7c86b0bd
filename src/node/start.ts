/** `npm start`: builds the web app, serves it on this machine, says where, and opens it where there is a display. */

import { build, preview } from 'vite';

const hasDisplay = process.platform !== 'linux' || Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);

await build({ logLevel: 'error' }); // it would warn of Node's modules, which stay behind in files that a browser never loads
const server = await preview({
  preview: { port: Number(process.env.PORT) || 4173, open: hasDisplay && process.stdout.isTTY },
});
console.log(`\nThe app is at ${server.resolvedUrls!.local[0]}\nStop it with Ctrl+C.`);

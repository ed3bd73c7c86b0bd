/** What is used of `ws`, which ships no types. */
declare module 'ws' {
  import type { EventEmitter } from 'node:events';
  export default class WebSocket extends EventEmitter {
    constructor(address: string);
    send(text: string): void;
    close(): void;
  }
}

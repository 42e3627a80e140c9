/** Importing this module corrects and watches the realtime sockets that the page opens with `WebSocket`. */
export { fixUrl } from '../index.mjs';
export type { Decision } from '../index.mjs';

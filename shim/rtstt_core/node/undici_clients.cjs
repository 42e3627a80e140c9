/**
 * WebSocket clients on undici: Node's built-in `WebSocket`, and the package of that name in every version and copy.
 *
 * All of them publish their requests on diagnostics channels of the same names, before the head is written.
 */
'use strict';

const { subscribe } = require('node:diagnostics_channel');
const { guarded, observe } = require('./guard.cjs');
const { callerStack } = require('./library.cjs');
const { tap } = require('./tap.cjs');
const { fixUrl } = require('./url_rule.cjs');
const { Watch } = require('./watch.cjs');

/** @type {WeakMap<object, Watch>} the requests that are watched */
const watches = new WeakMap();
let watching = false;
/** @type {{ key?: string, watch?: Watch }} the newest handshake */
let newest = {};

/** Corrects a request for a WebSocket whose head is not written yet, and watches what comes of it. */
const created = guarded('looking at undici requests', (/** @type {any} */ request) => {
  const base = String(request.origin).replace(/^http/i, 'ws');
  const decision = fixUrl(base + request.path);
  if (!decision.transcription) return;
  if (decision.changed) request.path = decision.url.slice(base.length);
  // Told 401, undici asks a second time by itself; it is the same handshake, with the same key.
  const key = /sec-websocket-key\W+([\w+/=]{24})/i.exec(String(request.headers))?.[1];
  if (!newest.watch || key === undefined || key !== newest.key) {
    newest = { key, watch: new Watch({ stack: callerStack(), fallback: 'undici', url: decision.url }) };
  }
  watches.set(request, /** @type {Watch} */ (newest.watch));
  if (!watching) watchMore();
  watching = true;
});

/** The channels that are of interest only once there is something to watch. */
function watchMore() {
  subscribe('undici:client:sendHeaders', (message) => sending(/** @type {any} */ (message)));
  subscribe('undici:request:error', (message) => failed(/** @type {any} */ (message)));
  subscribe('undici:websocket:open', (message) => opened(/** @type {any} */ (message)));
}

const sending = guarded('tapping a socket of undici', (/** @type {any} */ { request, socket }) => {
  const watch = watches.get(request);
  // On HTTP/2 the socket carries more than this connection.
  if (watch && socket.alpnProtocol !== 'h2') tap(socket, watch);
});

const failed = guarded('watching a handshake of undici', (/** @type {any} */ { request, error }) => {
  // The client gave it up itself, or goes on over HTTP/1.1 because the server's HTTP/2 knows no WebSocket.
  if (error?.name === 'AbortError' || /Extended CONNECT/.test(error?.message)) return;
  watches.get(request)?.failedToConnect(error);
});

const opened = guarded('watching a WebSocket over HTTP/2', (/** @type {any} */ { websocket, handshakeResponse }) => {
  // Only a WebSocket over HTTP/2 is answered with 200; then there is no socket of its own to tap.
  if (handshakeResponse?.status !== 200) return;
  const { url, transcription } = fixUrl(websocket.url);
  if (!transcription) return;
  const watch = new Watch({ stack: callerStack(), fallback: 'undici', url });
  let closing = false;
  observe(websocket, 'close', () => {
    closing = true;
  });
  /** @type {(name: string, listener: (event: any) => void) => void} */
  const on = (name, listener) => websocket.addEventListener(name, guarded('watching a WebSocket over HTTP/2', listener));
  on('message', ({ data }) => typeof data === 'string' && watch.message(data));
  on('close', ({ code, reason }) => watch.closed(code, reason, closing));
});

module.exports = { created };

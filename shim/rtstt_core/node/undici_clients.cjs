/**
 * WebSocket clients on undici: Node's built-in `WebSocket`, and the package in every version and copy.
 *
 * All of them publish their requests on diagnostics channels of the same names, before the head is written.
 */
'use strict';

const { subscribe } = require('node:diagnostics_channel');
const { chooseWatch } = require('./choose_watch.cjs');
const { guarded, observe } = require('./guard.cjs');
const { decideHandshake } = require('./handshake.cjs');
const { tap } = require('./tap.cjs');

/** @import { Socket } from 'node:net' */
/** @import { Tap } from './tap.cjs' */
/** @import { Watch } from './watch.cjs' */

const FALLBACK = 'undici';

/** @type {WeakMap<object, Watch>} the watches of requests */
const watches = new WeakMap();
/** @type {Map<string, { socket: Socket, tapped: Tap }>} the sockets on which a handshake runs, by their own address */
const handshakes = new Map();
let subscribed = false;
/** @type {{ key?: string, watch?: Watch }} the newest handshake */
let newest = {};

/** Corrects a WebSocket request, and watches its connection. */
const created = guarded('correcting an undici request', (/** @type {any} */ request) => {
  const handshake = decideHandshake(originOf(request), request.path, FALLBACK, chooseWatch);
  if (!handshake) return;
  if (handshake.path !== request.path) request.path = handshake.path;
  // After a 401 undici sends a second request by itself; it is the same handshake, with the same key.
  const key = /sec-websocket-key\W+([\w+/=]{24})/i.exec(String(request.headers))?.[1];
  if (!newest.watch || key === undefined || key !== newest.key) {
    newest = { key, watch: handshake.watch() };
    newest.watch?.trace?.request(headersOf(request.headers));
  }
  watches.set(request, /** @type {Watch} */ (newest.watch));
  if (!subscribed) subscribeMore();
  subscribed = true;
});

/** @param {any} request */
function originOf({ origin, host }) {
  const text = String(origin).replace(/^http/i, 'ws').replace(/\/$/, '');
  // Undici's DNS interceptor puts an address in the place of the host, which only the Host header names then.
  return host ? text.replace(/(?<=^wss?:\/\/)(?:[\d.]+|\[[^\]]*\])(?::\d+)?$/i, () => host) : text;
}

/**
 * Yields the names and values of a request's headers, which are lines in older releases and a list in newer ones.
 *
 * @param {unknown} headers
 * @returns {Generator<[string, unknown]>}
 */
function* headersOf(headers) {
  if (Array.isArray(headers)) {
    for (let i = 0; i + 1 < headers.length; i += 2) yield [String(headers[i]), headers[i + 1]];
  } else {
    for (const [, name, value] of String(headers).matchAll(/^([^:\r\n]+): *(.*?)\r?$/gm)) yield [name, value];
  }
}

/** Subscribes to the channels that matter only once there is a connection to watch. */
function subscribeMore() {
  subscribe('undici:client:sendHeaders', (message) => sendHeaders(/** @type {any} */ (message)));
  subscribe('undici:request:error', (message) => failed(/** @type {any} */ (message)));
  subscribe('undici:websocket:open', (message) => opened(/** @type {any} */ (message)));
}

const sendHeaders = guarded('tapping a socket of undici', (/** @type {any} */ { request, socket }) => {
  const watch = watches.get(request);
  // A socket of HTTP/2 carries other streams too.
  if (!watch || socket.alpnProtocol === 'h2') return;
  const address = JSON.stringify(socket.address());
  const handshake = { socket, tapped: tap(socket, watch) };
  handshakes.set(address, handshake);
  socket.once('close', () => {
    if (handshakes.get(address) === handshake) handshakes.delete(address);
  });
});

const failed = guarded('watching an undici request', (/** @type {any} */ { request, error }) => {
  const watch = watches.get(request);
  if (error?.name === 'AbortError') watch?.aborted();
  // Otherwise the client retries over HTTP/1.1, because the server's HTTP/2 does not support WebSocket.
  else if (!/Extended CONNECT/.test(error?.message)) watch?.failedToConnect(error);
});

const opened = guarded('watching a WebSocket that opened', (/** @type {any} */ message) => {
  const address = JSON.stringify(message.address);
  const found = handshakes.get(address);
  handshakes.delete(address);
  if (!found) openedOverHttp2(message);
  else if (message.websocket) found.tapped.attach(message.websocket);
  // undici 6, that of Node.js 22, puts its WebSocket on the socket after this.
  else queueMicrotask(guarded('watching a client', () => found.tapped.attach(Reflect.get(found.socket, 'ws'))));
});

/** @param {any} message */
function openedOverHttp2({ websocket, handshakeResponse }) {
  // Only over HTTP/2 is the status 200 (RFC 8441), and the connection has no socket of its own to tap.
  if (handshakeResponse?.status !== 200) return;
  const watch = decideHandshake('', websocket.url, FALLBACK, chooseWatch)?.watch();
  if (!watch) return;
  watch.trace?.accepted();
  if (watch.trace) {
    const { trace } = watch;
    observe(websocket, 'send', (data) => trace.message('client', data));
  }
  let closing = false;
  observe(websocket, 'close', () => {
    closing = true;
  });
  /** @type {(name: string, listener: (event: any) => void) => void} */
  const on = (name, listener) => websocket.addEventListener(name, guarded('watching a WebSocket over HTTP/2', listener));
  on('message', ({ data }) => {
    watch.trace?.message('server', data);
    if (typeof data !== 'string') return;
    const head = data.slice(0, 512);
    if (watch.wants(head)) watch.message(data, head);
  });
  on('close', ({ code, reason }) => watch.closed(code, reason, closing));
}

module.exports = { created };

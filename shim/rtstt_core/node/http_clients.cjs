/**
 * WebSocket clients that connect through Node's `http` and `https`: `ws` in every version, copy and bundle, and any other
 * that sends an Upgrade.
 *
 * The request is corrected before its head is written.
 */
'use strict';

const { chooseWatch } = require('./choose_watch.cjs');
const { guarded, observe } = require('./guard.cjs');
const { decideHandshake } = require('./handshake.cjs');
const { tap } = require('./tap.cjs');

/** @import { ClientRequest } from 'node:http' */
/** @import { Socket } from 'node:net' */
/** @import { Tap } from './tap.cjs' */
/** @import { Watch } from './watch.cjs' */

/** Corrects a WebSocket request, and watches its connection. */
const created = guarded('correcting an http request', (/** @type {ClientRequest} */ request) => {
  const origin = `${request.protocol === 'https:' ? 'wss' : 'ws'}://${authorityOf(request)}`;
  const handshake = decideHandshake(origin, request.path, `node:${request.protocol.slice(0, -1)}`, chooseWatch);
  if (!handshake) return;
  if (handshake.path !== request.path && !request.headersSent) request.path = handshake.path;
  const watch = handshake.watch(origin + request.path);
  watch.trace?.request(Object.entries(request.getHeaders()));
  observeRequest(request, watch);
});

/** @param {ClientRequest} request */
function authorityOf(request) {
  const name = String(request.host);
  const host = name.includes(':') ? `[${name}]` : name;
  // Only the Host header, which the client sets, shows the port.
  const header = String(request.getHeader('host') ?? '');
  return header.startsWith(`${host}:`) ? header : host;
}

/**
 * @param {ClientRequest} request
 * @param {Watch} watch
 */
function observeRequest(request, watch) {
  let timedOut = false;
  let answered = false;
  /** @type {Tap | undefined} */
  let tapped;
  const attach = guarded('watching a client', (/** @type {object} */ socket) => tapped?.attach(clientOf(socket)));
  /** @type {(event: string, value: unknown, socket?: object) => void} */
  const onEvent = (event, value, socket) => {
    if (event === 'timeout') timedOut = true;
    else if (event === 'response') answered = true;
    else if (event === 'upgrade') {
      answered = true;
      // After the client took the socket, and before it reads from it.
      process.nextTick(attach, socket);
    } else if (event === 'error' && (timedOut || !request.aborted)) {
      watch.failedToConnect(value, timedOut ? 'timeout' : undefined);
    } else if (event === 'close') {
      if (!answered && request.aborted) watch.aborted();
      restore();
    }
  };
  const restore = observe(request, 'emit', guarded('watching an http request', onEvent));
  const tapSocket = guarded('tapping a socket', (/** @type {Socket} */ socket) => {
    tapped = tap(socket, watch);
  });
  request.once('socket', tapSocket);
}

/**
 * Returns the WebSocket of `ws` that a socket belongs to: every release from 7 on keeps it there, under a symbol.
 *
 * @param {object} socket
 */
function clientOf(socket) {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'websocket');
  return symbol && Reflect.get(socket, symbol);
}

module.exports = { created };

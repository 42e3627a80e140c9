/**
 * WebSocket clients that ask for their connection through Node's `http` and `https`: `ws` in every version, copy and
 * bundle, and whatever else sends an Upgrade.
 *
 * The request is corrected before its head is written, which is where all of them meet.
 */
'use strict';

const { guarded, observe } = require('./guard.cjs');
const { callerStack } = require('./library.cjs');
const { tap } = require('./tap.cjs');
const { fixUrl } = require('./url_rule.cjs');
const { Watch } = require('./watch.cjs');

/** @import { ClientRequest } from 'node:http' */

/** Corrects a request for a WebSocket whose head is not written yet, and watches what comes of it. */
const created = guarded('looking at http requests', (/** @type {ClientRequest} */ request) => {
  const base = `${request.protocol === 'https:' ? 'wss' : 'ws'}://${authorityOf(request)}`;
  const decision = fixUrl(base + request.path);
  if (!decision.transcription) return;
  if (decision.changed && !request.headersSent) request.path = decision.url.slice(base.length);
  watch(request, base + request.path);
});

/** @param {ClientRequest} request */
function authorityOf(request) {
  const name = String(request.host);
  const host = name.includes(':') ? `[${name}]` : name;
  // The Host header is the client's to set; it is where the port is known from.
  const named = String(request.getHeader('host') ?? '');
  return named.startsWith(`${host}:`) ? named : host;
}

/**
 * @param {ClientRequest} request
 * @param {string} url
 */
function watch(request, url) {
  const seen = new Watch({ stack: callerStack(), fallback: `node:${request.protocol.slice(0, -1)}`, url });
  let timedOut = false;
  const emitted = guarded('watching a handshake', (/** @type {string} */ event, /** @type {unknown} */ value) => {
    if (event === 'timeout') timedOut = true;
    // A request that the client gave up itself is a failure only where it ran out of time.
    else if (event === 'error' && (timedOut || !request.aborted)) {
      seen.failedToConnect(value, timedOut ? 'timeout' : undefined);
    } else if (event === 'close') restore();
  });
  const restore = observe(request, 'emit', emitted);
  request.once('socket', guarded('tapping a socket', (socket) => tap(socket, seen)));
}

module.exports = { created };

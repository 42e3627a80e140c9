/**
 * WebSocket clients that ask for their connection through Node's `http` and `https`: `ws` in every version, copy and
 * bundle, and whatever else sends an Upgrade.
 *
 * The request is corrected before its head is written, which is where all of them meet.
 */
import { subscribe } from 'node:diagnostics_channel';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import process from 'node:process';
import { guarded, observe } from './guard.mjs';
import { callerStack } from './library.mjs';
import { tap } from './tap.mjs';
import { fixUrl } from './url_rule.mjs';
import { Watch } from './watch.mjs';

/** @import { ClientRequest } from 'node:http' */

const [major, minor] = process.versions.node.split('.').map(Number);
// `http.client.request.created` is published from 22.12 and 23.2 on; before, the four functions have to be wrapped.
const HAS_CHANNEL = major > 23 || (major === 23 && minor >= 2) || (major === 22 && minor >= 12);

const created = guarded('looking at http requests', (/** @type {ClientRequest} */ request) => {
  if (String(request.getHeader('upgrade')).toLowerCase() !== 'websocket') return;
  const base = `${request.protocol === 'https:' ? 'wss' : 'ws'}://${authorityOf(request)}`;
  const decision = fixUrl(base + request.path);
  if (!decision.transcription) return;
  if (decision.changed && !request.headersSent) request.path = decision.url.slice(base.length);
  watch(request, base + request.path);
});

/** @param {ClientRequest} request */
function authorityOf(request) {
  const host = request.host.includes(':') ? `[${request.host}]` : request.host;
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

/** Corrects and watches the requests of this process from now on. */
export function install() {
  if (HAS_CHANNEL) {
    subscribe('http.client.request.created', (message) => created(/** @type {any} */ (message).request));
    return;
  }
  const require = createRequire(import.meta.url);
  for (const module of [require('node:http'), require('node:https')]) {
    const { request: original } = module;
    /** @this {unknown} @param {unknown[]} args */
    const request = function request(...args) {
      const made = Reflect.apply(original, this, args);
      created(made);
      return made;
    };
    module.request = request;
    // What Node's own `get` does, around the `request` of its module.
    /** @this {unknown} @param {unknown[]} args */
    module.get = function get(...args) {
      const made = Reflect.apply(request, this, args);
      made.end();
      return made;
    };
  }
  syncBuiltinESMExports();
}

/**
 * The shim for Node.js: `node --import <this file> app.js`, or the same in NODE_OPTIONS.
 *
 * Realtime transcription sockets to OpenAI get a URL that the endpoint accepts, and what goes wrong on them is said on
 * stderr. Everything else in the process is left as it is. `RTSTT_SHIM_DISABLE=1` keeps it inert, and
 * `RTSTT_SHIM_HOSTS=host,host` names hosts to be treated like OpenAI's own.
 *
 * Two places see every WebSocket client there is: the requests of `http` and `https`, which `ws` makes in every version,
 * copy and bundle, and those of undici, on which Node's own WebSocket stands. Nothing but these two hooks is loaded
 * before the first WebSocket is opened.
 */
import { subscribe } from 'node:diagnostics_channel';
import { createRequire, syncBuiltinESMExports } from 'node:module';

const INSTALLED = Symbol.for('rtstt_shim.installed');
// As in registry.py.
const NOT_DISABLED = ['', '0', 'false', 'no', 'off'];

const require = createRequire(import.meta.url);
const [major, minor] = process.versions.node.split('.').map(Number);
// `http.client.request.created` is published from 22.12 and 23.2 on.
const HAS_CHANNEL = major > 23 || (major === 23 && minor >= 2) || (major === 22 && minor >= 12);

/**
 * One of our functions that is loaded when it is first called; if it cannot be, that is said, and it does nothing.
 *
 * @param {string} file
 * @returns {(request: any) => void}
 */
function lazily(file) {
  /** @type {((request: any) => void) | undefined} */
  let created;
  return (request) => {
    if (!created) {
      try {
        ({ created } = require(file));
      } catch (error) {
        created = () => {};
        console.error(`rtstt_shim: could not be loaded, and the application runs without it: ${error}`);
      }
    }
    created?.(request);
  };
}

const ofHttp = lazily('./http_clients.cjs');
const ofUndici = lazily('./undici_clients.cjs');

/** @param {import('node:http').ClientRequest} request */
function httpCreated(request) {
  // Another tool's stand-in for a request may have no headers to ask for.
  const upgrade = request?.getHeader?.('upgrade');
  if (upgrade !== undefined && String(upgrade).toLowerCase() === 'websocket') ofHttp(request);
}

/** The same as the channel, for a Node without it: the four functions that make requests. */
function wrapHttp() {
  for (const module of [require('node:http'), require('node:https')]) {
    const { request: original } = module;
    /** @this {unknown} @param {unknown[]} args */
    const request = function request(...args) {
      const made = Reflect.apply(original, this, args);
      httpCreated(made);
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

function install() {
  if (!NOT_DISABLED.includes((process.env.RTSTT_SHIM_DISABLE ?? '').toLowerCase())) return;
  // Named twice (in NODE_OPTIONS and on the command line, or by two installations of the shim) it is installed once.
  if (Reflect.get(globalThis, INSTALLED)) return;
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  if (major < 20) {
    console.error(`rtstt_shim: needs Node.js 20 or newer and does nothing in ${process.version}`);
    return;
  }
  subscribe('undici:request:create', (message) => {
    const { request } = /** @type {any} */ (message);
    if (request?.upgrade === 'websocket') ofUndici(request);
  });
  if (HAS_CHANNEL) subscribe('http.client.request.created', (message) => httpCreated(/** @type {any} */ (message).request));
  else wrapHttp();
}

install();

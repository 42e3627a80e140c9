/**
 * The shim for Node.js: `node --require <this file> app.js`, or the same in NODE_OPTIONS.
 *
 * It corrects the URLs of realtime transcription sockets to OpenAI and prints their failures on stderr. Everything else
 * in the process stays as it is. `RTSTT_SHIM_DISABLE=1` keeps it inert, `RTSTT_SHIM_HOSTS=host,host` names hosts to be
 * treated like OpenAI's own, `RTSTT_SHIM_LOG=info` prints the first corrected URL as well, and
 * `RTSTT_SHIM_TRACE=FILE` writes what both sides of these sockets send to a file.
 *
 * Two hooks see every WebSocket client: the requests of `http` and `https`, which `ws` makes in every version, copy and
 * bundle, and those of undici, on which Node's own WebSocket is built. Only these hooks are loaded before the first
 * WebSocket is opened. The file is a CommonJS module because `--import` makes Node load the main file as an ES module,
 * past the hooks of ts-node, @swc-node/register and their kind.
 */
'use strict';

const { subscribe } = require('node:diagnostics_channel');
const { createRequire, syncBuiltinESMExports } = require('node:module');
const { join } = require('node:path');

const INSTALLED = Symbol.for('rtstt_shim.installed');
// As in bootstrap/_rtstt_disable.py.
const NOT_DISABLED = ['', '0', 'false', 'no', 'off'];
const OLDEST = 20;

const [major, minor] = process.versions.node.split('.').map(Number);
// `http.client.request.created` is published from 22.12 and 23.2 on.
const HAS_CHANNEL = major > 23 || (major === 23 && minor >= 2) || (major === 22 && minor >= 12);

/**
 * Returns a hook that loads its module when it is first called. If the module cannot be loaded, it prints that once and
 * does nothing.
 *
 * @param {() => { created: (request: any) => void }} load requires the module, by a name that bundlers can follow
 * @returns {(request: any) => void}
 */
function lazyHook(load) {
  /** @type {((request: any) => void) | undefined} */
  let created;
  return (request) => {
    if (!created) {
      try {
        ({ created } = load());
      } catch (error) {
        created = () => {};
        console.error(`rtstt_shim: cannot be loaded and does nothing; the application is unaffected: ${error}`);
      }
    }
    created?.(request);
  };
}

const httpHook = lazyHook(() => require('./http_clients.cjs'));
const undiciHook = lazyHook(() => require('./undici_clients.cjs'));

/** @param {import('node:http').ClientRequest} request */
function httpRequestCreated(request) {
  // A mock of another tool may have no headers.
  const upgrade = request?.getHeader?.('upgrade');
  if (upgrade !== undefined && String(upgrade).toLowerCase() === 'websocket') httpHook(request);
}

/** Wraps the four functions that make requests, for a Node that does not publish them. */
function wrapHttp() {
  for (const module of [require('node:http'), require('node:https')]) {
    const { request: original } = module;
    /** @this {unknown} @param {unknown[]} args */
    const request = function request(...args) {
      const made = Reflect.apply(original, this, args);
      httpRequestCreated(made);
      return made;
    };
    module.request = request;
    // Node's own `get` does the same, with the `request` of its module.
    /** @this {unknown} @param {unknown[]} args */
    module.get = function get(...args) {
      const made = Reflect.apply(request, this, args);
      made.end();
      return made;
    };
  }
  syncBuiltinESMExports();
}

/** @returns {string | undefined} why the shim cannot work in this runtime */
function unsupported() {
  if (process.versions.bun) return `does nothing in Bun ${process.versions.bun}, whose WebSocket it cannot reach`;
  if (process.versions.deno) return `does nothing in Deno ${process.versions.deno}, whose WebSocket it cannot reach`;
  // Under --permission. In a bundle that is an ES module there is no such folder.
  const table = typeof __dirname === 'string' ? join(__dirname, 'diagnosis.json') : undefined;
  if (table !== undefined && process.permission?.has('fs.read', table) === false) {
    return `does nothing, because it may not read its files; start Node with --allow-fs-read=${__dirname}/*`;
  }
  return major < OLDEST ? `needs Node.js ${OLDEST} or newer and does nothing in ${process.version}` : undefined;
}

/** Requires the modules that `rtstt-shim run` took out of NODE_OPTIONS, as Node would have done. */
function requireOthers() {
  const text = process.env.RTSTT_SHIM_REQUIRE;
  if (!text) return;
  let names;
  try {
    names = JSON.parse(text);
  } catch {}
  if (!Array.isArray(names)) {
    console.error('rtstt_shim: RTSTT_SHIM_REQUIRE is not a JSON list of modules; none is required');
    return;
  }
  const requireFromHere = createRequire(join(process.cwd(), 'preload'));
  for (const name of names) requireFromHere(name);
}

function install() {
  if (!NOT_DISABLED.includes((process.env.RTSTT_SHIM_DISABLE ?? '').toLowerCase())) return;
  // Named twice (in NODE_OPTIONS and on the command line, or by two installations of the shim) it is installed once.
  if (Reflect.get(globalThis, INSTALLED)) return;
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  const reason = unsupported();
  if (reason !== undefined) {
    console.error(`rtstt_shim: ${reason}`);
    return;
  }
  subscribe('undici:request:create', (message) => {
    const { request } = /** @type {any} */ (message);
    if (request?.upgrade === 'websocket') undiciHook(request);
  });
  if (HAS_CHANNEL) {
    subscribe('http.client.request.created', (message) => httpRequestCreated(/** @type {any} */ (message).request));
  } else {
    wrapHttp();
  }
}

requireOthers();
install();

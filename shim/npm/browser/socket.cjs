/** Corrects and watches the sockets of `globalThis.WebSocket`. */
'use strict';

const { guarded, observe } = require('./guard.cjs');
const { decideHandshake } = require('./handshake.cjs');

/** @import { Watch } from './watch.cjs' */

const INSTALLED = Symbol.for('rtstt_shim.installed');
const LIBRARY = 'WebSocket';
const HEAD = 512;
// A page learns neither the status nor the cause of a failure to connect (WHATWG WebSockets, section 3).
const NO_REASON = { name: 'WebSocket', message: 'the browser keeps the reason from the page and shows it in its console' };
// Base64 of samples that are all the same; the last quantum may be padded.
const UNIFORM_AUDIO = /"audio":\s*"(.{4})\1*[^"]{0,4}"/;

function install() {
  if (Reflect.get(globalThis, 'RTSTT_SHIM_DISABLE') || Reflect.get(globalThis, INSTALLED)) return;
  const { WebSocket: original } = globalThis;
  if (typeof original !== 'function') return;
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  const corrected = new Proxy(original, { construct });
  // `socket.constructor` is the WebSocket of the page.
  Object.defineProperty(original.prototype, 'constructor', { value: corrected, configurable: true, writable: true });
  const own = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket');
  Object.defineProperty(globalThis, 'WebSocket', { configurable: true, writable: true, ...own, value: corrected });
}

/** @type {(target: Function, args: unknown[], newTarget: Function) => object} */
function construct(target, args, newTarget) {
  /** @type {ReturnType<typeof decideHandshake>} */
  let handshake;
  const [url] = args;
  if (typeof url === 'string' || url instanceof URL) {
    decide(String(url), (/** @type {typeof handshake} */ decided) => {
      handshake = decided;
    });
  }
  const given = handshake ? [handshake.path, ...args.slice(1)] : args;
  const socket = Reflect.construct(target, given, newTarget);
  if (handshake) attach(socket, handshake.watch());
  return socket;
}

const decide = guarded('correcting a WebSocket', (/** @type {string} */ given, /** @type {any} */ done) => {
  if (!given.includes('realtime')) return;
  const url = absolute(given);
  const handshake = decideHandshake('', url, LIBRARY);
  if (handshake) done(handshake.path === url ? { ...handshake, path: given } : handshake);
});

/**
 * Returns a URL as it is connected to: browsers take http: for ws: as well, and URLs relative to the page.
 *
 * @param {string} given
 */
function absolute(given) {
  const base = globalThis.location?.href;
  if (/^wss?:/i.test(given) || !URL.canParse(given, base)) return given;
  return new URL(given, base).href.replace(/^http/, 'ws');
}

const attach = guarded('watching a WebSocket', (/** @type {WebSocket} */ socket, /** @type {Watch} */ watch) => {
  let opened = false;
  let closing = false;
  /** @type {(name: string, listener: (event: any) => void) => void} */
  const on = (name, listener) => socket.addEventListener(name, guarded('watching a WebSocket', listener));
  observe(socket, 'close', () => {
    closing = true;
  });
  observe(socket, 'send', guarded('reading what a page sends', (data) => readSent(watch, data)));
  on('open', () => {
    opened = true;
  });
  on('message', ({ data }) => {
    if (typeof data !== 'string') return;
    const head = data.slice(0, HEAD);
    if (watch.wants(head)) watch.message(data, head);
  });
  on('close', ({ code, reason }) => {
    if (!opened && !closing) watch.failedToConnect(NO_REASON);
    else if (!opened) watch.aborted();
    else watch.closed(code, reason, closing);
  });
});

/**
 * @param {Watch} watch
 * @param {unknown} data
 */
function readSent({ progress }, data) {
  if (!progress || typeof data !== 'string') return;
  const head = data.slice(0, 64);
  if (head.includes('input_audio_buffer.append')) progress.appended(!progress.listens || !UNIFORM_AUDIO.test(data));
  else if (head.includes('input_audio_buffer.commit')) progress.commit();
}

install();

module.exports = { fixUrl: require('./url_rule.cjs').fixUrl };

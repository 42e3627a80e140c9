/**
 * The messages of a compressed connection, as its client reads them: to inflate them here too would double the work.
 *
 * `ws` emits the event `message` on its WebSocket and undici dispatches it, after they inflated it. What the client never
 * reads is not seen here either. Inflating takes the client a moment, so the end of the connection, which is read from the
 * socket, is kept until the client has read what arrived before.
 */
'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { guarded, observe } = require('./guard.cjs');

/** @import { Watch } from './watch.cjs' */

// A client that is known is attached in the same turn of the event loop in which it opens, or a few later.
const ATTACH_MS = 500;
// As in frames.cjs.
const HEAD = 512;
const MAX_MESSAGE = 65_536;
const DELTA = '{"type":"conversation.item.input_audio_transcription.delta"';

/** @type {Set<ClientMessages>} those with an end that waits for the client */
const waiting = new Set();
let connections = 0;

const atExit = guarded('reporting at exit', () => {
  for (const messages of waiting) messages.finish();
});

class ClientMessages {
  #watch;
  #arrived = 0;
  #read = 0;
  #attached = false;
  // Whether the client will read nothing more.
  #over = false;
  /** @type {(() => void) | undefined} */
  #end;
  #restore = () => {};
  #timer;

  /** @param {Watch} watch */
  constructor(watch) {
    this.#watch = watch;
    this.#timer = setTimeout(guarded('reading what a client reads', () => this.#giveUp()), ATTACH_MS).unref();
    if (connections === 0) process.on('exit', atExit);
    connections += 1;
  }

  /** Notes that a message arrived on the socket. */
  arrived() {
    this.#arrived += 1;
    if (this.#over && !this.#attached) this.#watch.unreadable();
  }

  /**
   * Reads the messages of a client from now on.
   *
   * @param {any} client a WebSocket of `ws` or of undici; anything else is ignored
   */
  attach(client) {
    const method = ['emit', 'dispatchEvent'].find((name) => typeof client?.[name] === 'function');
    if (this.#attached || method === undefined) return;
    this.#attached = true;
    clearTimeout(this.#timer);
    /** @type {(...args: any[]) => void} */
    const hook = method === 'emit' ? this.#emitted : this.#dispatched;
    this.#restore = observe(client, method, guarded('reading what a client reads', hook));
  }

  /**
   * Reports the end of the connection, once the client has read what arrived before it.
   *
   * @param {() => void} report
   */
  end(report) {
    this.#end = report;
    if (this.#over || this.#read >= this.#arrived) this.finish();
    else waiting.add(this);
  }

  /** Reports the end of the connection now, if it came. */
  finish() {
    waiting.delete(this);
    if (this.#arrived > 0 && !this.#attached) this.#watch.unreadable();
    const report = this.#end;
    this.#end = undefined;
    report?.();
  }

  /** @type {(event: string, data: unknown, isBinary?: boolean) => void} */
  #emitted = (event, data, isBinary) => {
    // ws 7 has no `isBinary`: it emits a text as a string.
    if (event === 'message') this.#message(typeof data === 'string' || isBinary === false ? data : undefined);
    else if (event === 'close') this.#closed();
  };

  /** @param {{ type: string, data: unknown }} event */
  #dispatched = (event) => {
    if (event.type === 'message') this.#message(event.data);
    else if (event.type === 'close') this.#closed();
  };

  /** @param {unknown} data */
  #message(data) {
    this.#read += 1;
    if ((typeof data === 'string' || Buffer.isBuffer(data)) && data.length <= MAX_MESSAGE) {
      const head = typeof data === 'string' ? data.slice(0, HEAD) : data.toString('latin1', 0, HEAD);
      if (head.startsWith(DELTA)) this.#watch.delta();
      else if (this.#watch.wants(head)) this.#watch.message(data, head);
    }
    if (this.#end && this.#read >= this.#arrived) this.finish();
  }

  #closed() {
    this.#over = true;
    this.#restore();
    this.finish();
  }

  #giveUp() {
    this.#over = true;
    this.finish();
  }
}

module.exports = { ClientMessages };

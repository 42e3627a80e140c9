/** Inflates the compressed messages of one connection (RFC 7692), for a trace. A watch reads them from the client. */
'use strict';

const { constants, inflateRawSync } = require('node:zlib');
const { InflateContext } = require('./inflate_context.cjs');

const WINDOW = 32_768;
const MAX_LENGTH = 1_048_576;
// The sender removes these bytes from the end of each compressed message (RFC 7692 section 7.2.1).
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

class Inflater {
  #context;
  /** @type {Buffer | undefined} */
  #window;
  #takesOver;
  #maxLength;

  /**
   * @param {string} extensions the response's Sec-WebSocket-Extensions
   * @param {'server' | 'client'} [sender] whose messages they are
   * @param {number} [maxLength] the length of the longest message that is inflated, in bytes
   * @param {InflateContext | null} [context] null if there is none
   */
  constructor(extensions, sender = 'server', maxLength = MAX_LENGTH, context = InflateContext.open() ?? null) {
    // Each message may refer back to those before it, unless it was agreed that it does not.
    this.#takesOver = !extensions.toLowerCase().includes(`${sender}_no_context_takeover`);
    this.#maxLength = maxLength;
    this.#context = context;
  }

  /**
   * Returns a message, inflated.
   *
   * @param {Buffer} data the whole compressed message
   * @throws {Error} if it is damaged or too long
   */
  inflate(data) {
    const input = Buffer.concat([data, TAIL]);
    return this.#context ? this.#inContext(this.#context, input) : this.#byItself(input);
  }

  /**
   * @param {InflateContext} context
   * @param {Buffer} input
   */
  #inContext(context, input) {
    const whole = context.inflate(input, this.#maxLength);
    if (!this.#takesOver) context.reset();
    return whole;
  }

  /** @param {Buffer} input */
  #byItself(input) {
    const whole = inflateRawSync(input, {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: this.#maxLength,
      ...(this.#window && { dictionary: this.#window }),
    });
    if (this.#takesOver && whole.length) {
      const all = this.#window ? Buffer.concat([this.#window, whole]) : whole;
      // A copy: a view would keep the whole message in memory.
      this.#window = Buffer.from(all.subarray(-WINDOW));
    }
    return whole;
  }
}

module.exports = { Inflater };

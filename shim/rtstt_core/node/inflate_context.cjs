/**
 * A zlib context that inflates synchronously and is kept from message to message.
 *
 * zlib's own synchronous functions create a context with each call: about 30 µs, and 1 µs for all else that a delta takes.
 * Its streams keep one, but are asynchronous, and a CLOSE frame would overtake the message before it. So this uses the
 * handle of a stream as zlib's synchronous functions do. On a Node.js whose handle has another shape there is no context.
 */
'use strict';

const { constants, createInflateRaw } = require('node:zlib');

// For all connections: a call is over before the next one begins.
const OUT = Buffer.allocUnsafeSlow(65_536);

class InflateContext {
  #stream;
  #handle;
  // After each call the space left in the output, and what is left of the input.
  #left;

  /** @param {any} stream */
  constructor(stream) {
    this.#stream = stream;
    this.#handle = stream._handle;
    this.#left = stream._writeState;
    // Damaged data destroys the stream, which is noticed below.
    stream.on('error', () => {});
  }

  /**
   * Returns a context, if the handle of a stream has the known shape.
   *
   * @param {() => any} create makes the stream
   * @returns {InflateContext | undefined}
   */
  static open(create = createInflateRaw) {
    const stream = create();
    const known = typeof stream._handle?.writeSync === 'function' && stream._writeState?.length === 2;
    return known ? new InflateContext(stream) : undefined;
  }

  /**
   * Returns what follows in the stream, inflated.
   *
   * @param {Buffer} data
   * @param {number} maxLength of the result, in bytes
   * @throws {Error} if the data is damaged or the result too long; the context is of no use afterwards
   */
  inflate(data, maxLength) {
    const pieces = [];
    let size = 0;
    for (let at = 0; ; ) {
      // A handle that is closed ends the process.
      if (this.#stream.destroyed) throw new Error('the context is of no use after an error');
      this.#handle.writeSync(constants.Z_SYNC_FLUSH, data, at, data.length - at, OUT, 0, OUT.length);
      if (this.#stream.destroyed) throw new Error('the compressed data is damaged');
      const [outLeft, inLeft] = this.#left;
      const piece = OUT.subarray(0, OUT.length - outLeft);
      size += piece.length;
      if (size > maxLength) {
        this.#stream.destroy();
        throw new RangeError(`the message is longer than ${maxLength} bytes`);
      }
      pieces.push(Buffer.from(piece));
      at = data.length - inLeft;
      if (outLeft > 0) {
        // What is left after the last block of a stream is not part of it; the next message begins a new one.
        if (inLeft > 0) this.reset();
        return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces);
      }
    }
  }

  /** Begins a new stream. */
  reset() {
    this.#stream.reset();
  }
}

module.exports = { InflateContext };

/** The frames of one direction of a WebSocket (RFC 6455), all of them and whole, for a trace. No I/O. */
'use strict';

const { Inflater } = require('./inflater.cjs');

/**
 * @typedef {object} TraceReceiver
 * @property {(opcode: number, payload: Buffer) => void} message receives a whole message, inflated
 * @property {(opcode: number, size: number) => void} unreadable receives a message that is too long or cannot be inflated
 * @property {(opcode: number) => void} control receives a PING or a PONG
 */

const CONTINUATION = 0x0;
const PING = 0x9;
const PONG = 0xa;
// An append of the largest size is 20 MiB long.
const MAX_MESSAGE = 23_068_672;

class TraceFrames {
  #receiver;
  #inflater;
  /** @type {Buffer[]} the beginning of a frame that is incomplete */
  #chunks = [];
  #size = 0;
  #needed = 0;
  #skip = 0;
  // The message that the frames belong to.
  /** @type {Buffer[]} */
  #fragments = [];
  #length = 0;
  #opcode = 0;
  #compressed = false;

  /**
   * @param {TraceReceiver} receiver
   * @param {string} extensions the response's Sec-WebSocket-Extensions
   * @param {'client' | 'server'} sender
   */
  constructor(receiver, extensions, sender) {
    this.#receiver = receiver;
    /** @type {Inflater | undefined} */
    this.#inflater = /permessage-deflate/i.test(extensions) ? new Inflater(extensions, sender, MAX_MESSAGE) : undefined;
  }

  /**
   * Receives bytes, cut anywhere.
   *
   * @param {Uint8Array} chunk
   */
  receive(chunk) {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    if (skipped === chunk.length) return;
    // A copy: the socket's owner may write to the buffer again.
    this.#chunks.push(Buffer.from(chunk.subarray(skipped)));
    this.#size += chunk.length - skipped;
    if (this.#size < this.#needed) return;
    const data = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    let at = 0;
    for (let length = this.#frame(data, at); length > 0; length = this.#frame(data, at)) at += length;
    this.#skip = Math.max(0, at - data.length);
    const rest = data.subarray(at);
    this.#chunks = rest.length ? [rest] : [];
    this.#size = rest.length;
  }

  /**
   * Reads one frame.
   *
   * @param {Buffer} data
   * @param {number} at where it begins
   * @returns {number} its length, which may reach beyond the end of the data if it is skipped; 0 if more bytes are needed
   */
  #frame(data, at) {
    this.#needed = 2;
    if (data.length - at < 2) return 0;
    const masked = (data[at + 1] & 0x80) !== 0;
    const short = data[at + 1] & 0x7f;
    const head = (short < 126 ? 2 : short === 126 ? 4 : 10) + (masked ? 4 : 0);
    this.#needed = head;
    if (data.length - at < head) return 0;
    const length =
      short < 126 ? short : short === 126 ? data.readUInt16BE(at + 2) : Number(data.readBigUInt64BE(at + 2));
    const readable = length <= MAX_MESSAGE;
    this.#needed = readable ? head + length : head;
    if (data.length - at < this.#needed) return 0;
    this.#needed = 2;
    const payload = readable ? Buffer.from(data.subarray(at + head, at + head + length)) : undefined;
    if (payload && masked) {
      for (let i = 0; i < length; i++) payload[i] ^= data[at + head - 4 + (i & 3)];
    }
    this.#receive(data[at], length, payload);
    return head + length;
  }

  /** @type {(first: number, length: number, payload: Buffer | undefined) => void} */
  #receive(first, length, payload) {
    const opcode = first & 0x0f;
    if (opcode >= 0x8) {
      if (opcode === PING || opcode === PONG) this.#receiver.control(opcode);
      return;
    }
    if (opcode !== CONTINUATION) {
      this.#opcode = opcode;
      this.#compressed = (first & 0x40) !== 0;
      this.#fragments = [];
      this.#length = 0;
    }
    this.#length += length;
    if (payload && this.#length <= MAX_MESSAGE) this.#fragments.push(payload);
    if (first & 0x80) this.#end();
  }

  #end() {
    const fragments = this.#fragments;
    this.#fragments = [];
    let whole = fragments.length === 1 ? fragments[0] : Buffer.concat(fragments);
    if (whole.length === this.#length) {
      if (!this.#compressed) {
        this.#receiver.message(this.#opcode, whole);
        return;
      }
      try {
        if (this.#inflater) {
          whole = this.#inflater.inflate(whole);
          this.#receiver.message(this.#opcode, whole);
          return;
        }
      } catch {
        // Too long or damaged.
      }
    }
    // Later compressed messages refer back to this one.
    if (this.#compressed) this.#inflater = undefined;
    this.#receiver.unreadable(this.#opcode, this.#length);
  }
}

module.exports = { TraceFrames };

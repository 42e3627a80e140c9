/**
 * What a server sends on one connection after a WebSocket handshake was asked for: an HTTP/1.1 response, then frames.
 *
 * No I/O. Whatever it does not understand, it leaves: the client is there to say what is wrong with it.
 */
'use strict';

const { FrameReader } = require('./frames.cjs');

/** @import { Receiver } from './frames.cjs' */

/**
 * @typedef {object} HandshakeReceiver
 * @property {(status: number, body: string) => void} refused the response was not 101, with the beginning of its body
 */

// Node's own limit of a response's head is 16 KiB.
const HEAD_LIMIT = 32_768;
const BODY_LIMIT = 4096;
const HEAD_END = '\r\n\r\n';

class Exchange {
  #receiver;
  /** @type {'head' | 'frames' | 'body' | 'over'} */
  #state = 'head';
  /** @type {Buffer} */
  #data = Buffer.alloc(0);
  /** @type {FrameReader | undefined} */
  #frames;
  #status = 0;
  #length = BODY_LIMIT;
  #chunked = false;
  #readable = true;

  #word;

  /**
   * @param {Receiver & HandshakeReceiver} receiver
   * @param {string} word what a message of interest holds
   */
  constructor(receiver, word) {
    this.#receiver = receiver;
    this.#word = word;
  }

  /** Whether frames were to be expected when the connection ended. */
  get open() {
    return this.#state === 'frames';
  }

  /** Whether the handshake was refused, and the refusal's body is coming in. */
  get refusing() {
    return this.#state === 'body';
  }

  /** Whether there is nothing more to learn from this connection. */
  get over() {
    return this.#state === 'over';
  }

  /**
   * Takes bytes as they come, cut anywhere.
   *
   * @param {Buffer} chunk
   */
  feed(chunk) {
    if (this.#frames) this.#frames.feed(chunk);
    else if (this.#state === 'head') this.#head(Buffer.concat([this.#data, chunk]));
    else if (this.#state === 'body') this.#body(Buffer.concat([this.#data, chunk]));
  }

  /** Takes the end of the connection, or of the patience for a refusal's body. */
  end() {
    if (this.#state !== 'body') return;
    this.#state = 'over';
    let body = '';
    if (this.#readable) {
      body = this.#data.toString('utf8', 0, this.#length);
      if (this.#chunked) body = body.replace(/(^|\r\n)[0-9a-f]+[^\r\n]*\r\n/gi, '').trimEnd();
    }
    this.#receiver.refused(this.#status, body);
  }

  /** @param {Buffer} data */
  #head(data) {
    const end = data.indexOf(HEAD_END);
    if (end < 0) {
      this.#data = data;
      if (data.length > HEAD_LIMIT) this.#state = 'over';
      return;
    }
    const [first, ...lines] = data.toString('latin1', 0, end).split('\r\n');
    const rest = data.subarray(end + HEAD_END.length);
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(first);
    if (!status) {
      this.#state = 'over';
      return;
    }
    this.#status = Number(status[1]);
    /** @param {string} name */
    const header = (name) =>
      lines
        .filter((line) => line.toLowerCase().startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).trim())
        .join(', ');
    if (this.#status === 101) {
      this.#state = 'frames';
      this.#data = Buffer.alloc(0);
      this.#frames = new FrameReader(
        {
          message: (message) => this.#receiver.message(message),
          closed: (code, reason) => {
            this.#state = 'over';
            this.#receiver.closed(code, reason);
          },
        },
        this.#word,
        header('sec-websocket-extensions'),
      );
      this.#frames.feed(rest);
    } else if (this.#status < 200) {
      this.#head(rest);
    } else {
      this.#state = 'body';
      const length = header('content-length');
      // Whether a client follows a redirection is seen a moment later.
      const told = length && this.#status >= 400;
      this.#length = told ? Math.min(Number(length), BODY_LIMIT) : BODY_LIMIT;
      this.#chunked = /chunked/i.test(header('transfer-encoding'));
      this.#readable = header('content-encoding') === '';
      this.#body(rest);
    }
  }

  /** @param {Buffer} data */
  #body(data) {
    this.#data = data;
    if (data.length >= this.#length || (this.#chunked && data.includes('0\r\n\r\n'))) this.end();
  }
}

module.exports = { Exchange };

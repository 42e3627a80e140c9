/**
 * What a server sends on one connection after a WebSocket handshake was requested: an HTTP/1.1 response, then frames.
 *
 * No I/O. Anything that is not understood is ignored: the client reports it.
 */
'use strict';

const { FrameReader } = require('./frames.cjs');

/** @import { MessageReceiver } from './frames.cjs' */

/**
 * @typedef {object} HandshakeReceiver
 * @property {() => void} compressed learns that permessage-deflate was agreed
 * @property {(status: number, body: string) => void} refused receives a response other than 101, with the beginning of
 *   its body
 */

// Node's own limit of a response's head is 16 KiB.
const MAX_HEAD = 32_768;
const MAX_BODY = 4096;
const HEAD_END = '\r\n\r\n';

class ServerStream {
  #receiver;
  /** @type {'head' | 'frames' | 'body' | 'over'} */
  #state = 'head';
  /** @type {Buffer} */
  #data = Buffer.alloc(0);
  /** @type {FrameReader | undefined} */
  #frames;
  #status = 0;
  #length = MAX_BODY;
  #chunked = false;
  #readable = true;

  /** @param {MessageReceiver & HandshakeReceiver} receiver */
  constructor(receiver) {
    this.#receiver = receiver;
  }

  /** Whether the handshake was accepted and no CLOSE frame came yet. */
  get open() {
    return this.#state === 'frames';
  }

  /** Whether the handshake was refused and the response's body is still arriving. */
  get refusing() {
    return this.#state === 'body';
  }

  /** Whether nothing more needs to be read from this connection. */
  get over() {
    return this.#state === 'over';
  }

  /**
   * Receives bytes as they arrive, cut anywhere.
   *
   * @param {Buffer} chunk
   */
  receive(chunk) {
    if (this.#frames) this.#frames.receive(chunk);
    else if (this.#state === 'head') this.#receiveHead(Buffer.concat([this.#data, chunk]));
    else if (this.#state === 'body') this.#receiveBody(Buffer.concat([this.#data, chunk]));
  }

  /** Receives the end of the connection, or stops the wait for the body of a refusal. */
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
  #receiveHead(data) {
    const end = data.indexOf(HEAD_END);
    if (end < 0) {
      this.#data = data;
      if (data.length > MAX_HEAD) this.#state = 'over';
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
    if (this.#status === 101) this.#openFrames(headerOf(lines, 'sec-websocket-extensions'), rest);
    else if (this.#status < 200) this.#receiveHead(rest);
    else this.#openBody(lines, rest);
  }

  /**
   * @param {string} extensions
   * @param {Buffer} rest
   */
  #openFrames(extensions, rest) {
    this.#state = 'frames';
    this.#data = Buffer.alloc(0);
    const receiver = this.#receiver;
    const compressed = /permessage-deflate/i.test(extensions);
    if (compressed) receiver.compressed();
    this.#frames = new FrameReader(
      {
        wants: (head) => receiver.wants(head),
        delta: () => receiver.delta(),
        message: (data, head) => receiver.message(data, head),
        arrived: () => receiver.arrived(),
        closed: (code, reason) => {
          this.#state = 'over';
          receiver.closed(code, reason);
        },
      },
      compressed,
    );
    this.#frames.receive(rest);
  }

  /**
   * @param {string[]} lines
   * @param {Buffer} rest
   */
  #openBody(lines, rest) {
    this.#state = 'body';
    const length = headerOf(lines, 'content-length');
    // Whether the client follows a redirect shows only a moment later.
    const known = length && this.#status >= 400;
    this.#length = known ? Math.min(Number(length), MAX_BODY) : MAX_BODY;
    this.#chunked = /chunked/i.test(headerOf(lines, 'transfer-encoding'));
    this.#readable = headerOf(lines, 'content-encoding') === '';
    this.#receiveBody(rest);
  }

  /** @param {Buffer} data */
  #receiveBody(data) {
    this.#data = data;
    if (data.length >= this.#length || (this.#chunked && data.includes('0\r\n\r\n'))) this.end();
  }
}

/**
 * Returns the value of a header; several are joined.
 *
 * @param {string[]} lines
 * @param {string} name in lower case
 */
function headerOf(lines, name) {
  return lines
    .filter((line) => line.toLowerCase().startsWith(`${name}:`))
    .map((line) => line.slice(name.length + 1).trim())
    .join(', ');
}

module.exports = { ServerStream, headerOf };

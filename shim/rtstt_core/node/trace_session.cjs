/** One connection in a trace: from the bytes of its socket to lines; the twin of `trace/session.py`. */
'use strict';

const { guarded, observe } = require('./guard.cjs');
const { maskHeaders, maskKeys, maskQuery } = require('./masking.cjs');
const { redact } = require('./redact.cjs');
const { headerOf } = require('./server_stream.cjs');
const { AudioRates, tracedText } = require('./trace_event.cjs');
const { TraceFrames } = require('./trace_frames.cjs');

/** @import { Socket } from 'node:net' */
/** @import { TraceFile } from './trace_file.cjs' */

/** @typedef {'client' | 'server'} Sender */

const TEXT = 0x1;
const PING = 0x9;
const MAX_HEAD = 32_768;
const HEAD_END = '\r\n\r\n';

class SessionTrace {
  #file;
  #number;
  #started = performance.now();
  #rates = new AudioRates();
  #answered = false;
  #ended = false;

  /**
   * @param {TraceFile} file
   * @param {string} url the URL connected to; it is written with its secrets masked
   * @param {object} details what else the first line has: the library, the kind of session, the correction of the URL
   */
  constructor(file, url, details) {
    this.#file = file;
    this.#number = file.newSession();
    const { host, pathname, searchParams } = new URL(url);
    const handshake = { host: maskKeys(host), path: maskKeys(decoded(pathname)), query: maskQuery(searchParams) };
    this.#write({ time: Date.now() / 1000, ...details, handshake });
  }

  /**
   * Writes the headers of the handshake's request, secrets masked.
   *
   * @param {Iterable<[string, unknown]>} headers names and values in order
   */
  request(headers) {
    this.#safely(() => this.#write({ handshake: { headers: maskHeaders(headers) } }));
  }

  /**
   * Traces the messages on a socket.
   *
   * @param {Socket} socket a connection on which the response to the handshake comes next
   */
  tap(socket) {
    /** @type {TraceFrames | undefined} */
    let server;
    /** @type {TraceFrames | undefined} */
    let client;
    let head = Buffer.alloc(0);

    /** @param {Buffer} chunk */
    const receiveHead = (chunk) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(HEAD_END);
      if (end < 0) {
        if (head.length > MAX_HEAD) restore();
        return;
      }
      const [first, ...lines] = head.toString('latin1', 0, end).split('\r\n');
      const rest = head.subarray(end + HEAD_END.length);
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1]);
      head = Buffer.alloc(0);
      if (status === 101) {
        const extensions = headerOf(lines, 'sec-websocket-extensions');
        server = new TraceFrames(this.#receiver('server'), extensions, 'server');
        client = new TraceFrames(this.#receiver('client'), extensions, 'client');
        this.accepted();
        server.receive(rest);
      } else if (status < 200) {
        receiveHead(rest);
      } else {
        // The watch writes the refusal, with its body.
        restore();
      }
    };
    const received = guarded('tracing what a server sends', (/** @type {unknown} */ chunk) => {
      if (!(chunk instanceof Uint8Array)) return;
      if (server) server.receive(chunk);
      else receiveHead(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    });
    const sent = guarded('tracing what a client sends', (/** @type {unknown} */ chunk) => {
      // The request is written before the response is read.
      if (client && chunk instanceof Uint8Array) client.receive(chunk);
    });
    const undo = [observe(socket, 'push', received), observe(socket, 'write', sent)];
    const restore = () => {
      for (const one of undo.splice(0)) one();
    };
    socket.once('close', restore);
  }

  /**
   * Writes a message.
   *
   * @param {Sender} sender
   * @param {unknown} data a text, or anything binary
   */
  message(sender, data) {
    this.#safely(() => {
      this.accepted();
      if (typeof data === 'string') {
        this.#write({ sender, event: tracedText(data, this.#rates, this.#file.keepAudio) });
      } else {
        const { byteLength, size } = /** @type {any} */ (data);
        this.#write({ sender, event: { type: '(binary)', bytes: byteLength ?? size } });
      }
    });
  }

  /** Writes that the handshake was accepted, unless that is written. */
  accepted() {
    if (this.#answered) return;
    this.#answered = true;
    this.#write({ http_status: 101 });
  }

  /**
   * Writes a response to the handshake other than 101.
   *
   * @param {number} status
   * @param {string} body its body, or the beginning
   */
  refused(status, body) {
    if (this.#answered) return;
    this.#answered = true;
    this.#ended = true;
    this.#write({ http_status: status, message: redact(body) });
  }

  /**
   * Writes why there was no connection.
   *
   * @param {string} reason the client's error, or what else ended the attempt
   * @param {string} cause the same as one word, such as `dns`
   */
  failed(reason, cause) {
    if (this.#answered || this.#ended) return;
    this.#ended = true;
    this.#write({ failed: redact(reason), cause });
  }

  /**
   * Writes how the connection ended.
   *
   * @param {number} code the close code; 1006 without a CLOSE frame
   * @param {string} reason
   * @param {Sender} by
   */
  closed(code, reason, by) {
    if (this.#ended) return;
    this.accepted();
    this.#ended = true;
    this.#write({ close: { code, reason: redact(reason), by } });
  }

  /** @param {Sender} sender */
  #receiver(sender) {
    return {
      /** @type {(opcode: number, payload: Buffer) => void} */
      message: (opcode, payload) => this.message(sender, opcode === TEXT ? payload.toString('utf8') : payload),
      /** @type {(opcode: number, size: number) => void} */
      unreadable: (_, bytes) => this.#write({ sender, event: { type: '(unreadable)', bytes } }),
      /** @type {(opcode: number) => void} */
      control: (opcode) => this.#write({ sender, frame: opcode === PING ? 'ping' : 'pong' }),
    };
  }

  /** @param {() => void} write */
  #safely(write) {
    if (!this.#file.writable) return;
    try {
      write();
    } catch (error) {
      this.#file.stop(error);
    }
  }

  /** @param {object} line */
  #write(line) {
    const at = Math.round((performance.now() - this.#started) * 1000) / 1e6;
    this.#file.write({ session: this.#number, at, ...line });
  }
}

/** @param {string} path */
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

module.exports = { SessionTrace };

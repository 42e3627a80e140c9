/**
 * Watches the socket under a WebSocket client, below the client's own code and above TLS.
 *
 * Every client, whichever copy of whichever library it is, receives its bytes through `push` of the socket and sends
 * through `write`. Observing these depends on no client, changes nothing that a client can see, and costs other sockets
 * nothing.
 */
'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { ClientMessages } = require('./client_messages.cjs');
const { ClientStream } = require('./client_stream.cjs');
const { guarded, observe } = require('./guard.cjs');
const { ServerStream } = require('./server_stream.cjs');

/** @import { Socket } from 'node:net' */
/** @import { Watch } from './watch.cjs' */

/**
 * @typedef {object} Tap
 * @property {(client: unknown) => void} attach receives the client's WebSocket, once it is open
 */

// A refusal is reported with its body, which usually arrives with the head, and which most clients never read.
const BODY_WAIT_MS = 500;

/**
 * Returns whether a client's write is its CLOSE frame: masked, with a payload of at most 125 bytes, and written whole or
 * the header by itself.
 *
 * @param {unknown} chunk
 */
function isCloseFrame(chunk) {
  return (
    chunk instanceof Uint8Array &&
    chunk[0] === 0x88 &&
    chunk[1] >= 0x80 &&
    (chunk.length === 6 || chunk.length === 6 + (chunk[1] & 0x7f))
  );
}

/**
 * Passes what happens on a socket to a watch, until its WebSocket is closed or refused.
 *
 * @param {Socket} socket a connection on which the response to the handshake comes next
 * @param {Watch} watch
 * @returns {Tap}
 */
function tap(socket, watch) {
  watch.trace?.tap(socket);
  let closing = false;
  let ended = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let bodyTimer;
  /** @type {ClientStream | undefined} */
  let client;
  /** @type {ClientMessages | undefined} */
  let messages;
  /** @param {() => void} report */
  const end = (report) => (messages ? messages.end(report) : report());
  const server = new ServerStream({
    wants: (head) => watch.wants(head),
    delta: () => watch.delta(),
    message: (data, head) => watch.message(data, head),
    refused: (status, body) => watch.refused(status, body),
    compressed: () => {
      messages = new ClientMessages(watch);
    },
    arrived: () => messages?.arrived(),
    closed: (code, reason) => {
      const byClient = closing;
      end(() => watch.closed(code, reason, byClient));
    },
  });

  const received = guarded('reading a socket', (/** @type {unknown} */ chunk) => {
    if (Buffer.isBuffer(chunk)) {
      server.receive(chunk);
    } else if (chunk === null) {
      ended = true;
      server.end();
    } else if (chunk instanceof Uint8Array) {
      server.receive(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
    if (server.over) release();
    else if (server.refusing) bodyTimer ??= setTimeout(finish, BODY_WAIT_MS).unref();
  });
  const sent = guarded('reading what a client writes', (/** @type {unknown} */ chunk) => {
    if (isCloseFrame(chunk)) closing = true;
    // The request is written before the response is read.
    if (watch.progress && server.open && chunk instanceof Uint8Array) {
      client ??= new ClientStream(watch.progress);
      client.receive(chunk);
    }
  });
  const finish = guarded('watching the end of a socket', () => {
    server.end();
    // Without an end from the server and without an error, the client itself dropped the connection.
    if (server.open) {
      const byClient = closing || !(ended || socket.errored);
      end(() => watch.lost(byClient));
    }
    release();
  });

  const restore = [observe(socket, 'push', received), observe(socket, 'write', sent)];
  const release = () => {
    for (const undo of restore.splice(0)) undo();
    socket.removeListener('close', finish);
    clearTimeout(bodyTimer);
  };
  socket.once('close', finish);
  return { attach: (client) => messages?.attach(client) };
}

module.exports = { tap };

/**
 * Listening in on the socket under a WebSocket client, below the client's own code and above TLS.
 *
 * Every client, whichever copy of whichever library it is, gets its bytes through `push` of the socket and answers
 * through `write`; watching there needs to know nothing of the client, changes nothing it can see, and costs other
 * sockets nothing.
 */
'use strict';

const { clearTimeout, setTimeout } = require('node:timers');
const { Exchange } = require('./exchange.cjs');
const { guarded, observe } = require('./guard.cjs');
const { WORD } = require('./watch.cjs');

/** @import { Socket } from 'node:net' */
/** @import { Watch } from './watch.cjs' */

// A refusal is told with its body, which mostly comes with the head, and mostly nobody reads.
const BODY_MS = 500;

/**
 * Whether a client's write is its CLOSE frame: always masked, at most 125 bytes long, and written whole or the header
 * by itself.
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
 * Tells a watch what happens on a socket from now until its WebSocket is closed or refused.
 *
 * @param {Socket} socket a connection on which nothing but the handshake's response is still to come
 * @param {Watch} watch
 */
function tap(socket, watch) {
  let closing = false;
  let hungUp = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let patience;
  const exchange = new Exchange(
    {
      refused: (status, body) => watch.refused(status, body),
      message: (data) => watch.message(data),
      closed: (code, reason) => watch.closed(code, reason, closing),
    },
    WORD,
  );

  const received = guarded('reading a watched socket', (/** @type {unknown} */ chunk) => {
    if (Buffer.isBuffer(chunk)) {
      exchange.feed(chunk);
    } else if (chunk === null) {
      hungUp = true;
      exchange.end();
    } else if (chunk instanceof Uint8Array) {
      exchange.feed(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
    if (exchange.over) release();
    else if (exchange.refusing) patience ??= setTimeout(ended, BODY_MS).unref();
  });
  const sent = (/** @type {unknown} */ chunk) => {
    if (isCloseFrame(chunk)) closing = true;
  };
  const ended = guarded('watching the end of a socket', () => {
    exchange.end();
    // Neither the server's end of the stream nor an error: the client itself took the connection down.
    if (exchange.open) watch.lost(closing || !(hungUp || socket.errored));
    release();
  });

  const restore = [observe(socket, 'push', received), observe(socket, 'write', sent)];
  const release = () => {
    for (const undo of restore.splice(0)) undo();
    socket.removeListener('close', ended);
    clearTimeout(patience);
  };
  socket.once('close', ended);
}

module.exports = { tap };

/**
 * A watch on one realtime connection: from what the server sends to at most one report for each failure.
 *
 * The twin of `watch.py`. It keeps an `error` event for half a second before it reports it, because only the close that
 * may follow shows whether the error ended the session.
 */
'use strict';

// Not the globals, which test frameworks replace.
const { clearTimeout, setTimeout } = require('node:timers');
const { causeOf, describe } = require('./connect_error.cjs');
const { ErrorEvents, textOf } = require('./error_events.cjs');
const { guarded } = require('./guard.cjs');
const { Progress } = require('./progress.cjs');
const { report, reportRemainingCounts, reportUnreadable } = require('./report.cjs');

/** @import { Symptom, ConnectCause } from './diagnosis.cjs' */
/** @import { ErrorEvent } from './error_events.cjs' */
/** @import { ConnectionInfo } from './report.cjs' */
/** @import { SessionTrace } from './trace_session.cjs' */

// The endpoint sends the CLOSE frame of a refusal in the same millisecond as the error event (capture 2026-09-18).
const CLOSE_WAIT_MS = 500;
// A connect attempt that the application aborts after this time ran into a timeout of its own.
const ABORT_MS = 500;
// The close codes by which the endpoint refuses a session (PROTOCOL.md section 1).
const REFUSALS = [1013, 3000, 4000, 4004];
const TRANSCRIPTION_PARAM =
  /^(?:session\.audio\.input\.(?:transcription|turn_detection)|(?:session\.)?input_audio_transcription)/;
const TRANSCRIPTION_UPDATE = /Passing a transcription session update|transcription_session\.update/;

/** @type {Set<Watch>} the watches with an error event that waits for a close */
const pending = new Set();
let watches = 0;

const atExit = guarded('reporting at exit', () => {
  for (const watch of pending) watch.flush();
  reportRemainingCounts();
});

class Watch {
  #info;
  #number;
  #session;
  #startedAt = performance.now();
  #closed = false;
  #errors = new ErrorEvents();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #timeOut = guarded('reporting an error', () => {
    this.#reportAll(this.#errors.pop(performance.now() - CLOSE_WAIT_MS / 2));
    if (this.#errors.any) this.#wait();
    else pending.delete(this);
  });

  /**
   * The progress of a transcription session; undefined once a transcript or an error has arrived.
   *
   * @type {Progress | undefined}
   */
  progress;

  /**
   * The trace of the connection, if there is one.
   *
   * @type {SessionTrace | undefined}
   */
  trace;

  /**
   * @param {ConnectionInfo} info the connection
   * @param {'transcription' | 'conversation'} [session] what it opens; of a conversation only a refusal and what concerns
   *   transcription is reported
   */
  constructor(info, session = 'transcription') {
    this.#info = info;
    this.#session = session;
    if (session === 'transcription') this.progress = new Progress();
    if (watches === 0) process.on('exit', atExit);
    watches += 1;
    this.#number = watches;
  }

  /**
   * Returns whether a message of the server has to be passed to `message`.
   *
   * @param {string} head the beginning of the message, in which each byte is a character
   */
  wants(head) {
    // An `error` and a `failed` event both hold an "error" object.
    if (head.includes('"error"')) return true;
    return this.progress !== undefined && (head.includes('input_audio_') || head.includes('session.'));
  }

  /** Receives a delta, the most frequent message of a transcription session. */
  delta() {
    this.progress = undefined;
  }

  /**
   * Receives one whole text message from the server.
   *
   * @param {Buffer | string} data the message
   * @param {string} head its beginning
   */
  message(data, head) {
    if (head.includes('"error"') && this.#error(data, head)) {
      this.progress = undefined;
    } else if (this.progress?.received(head, data)) {
      if (this.progress.isConversation) this.#session = 'conversation';
      this.progress = undefined;
    }
  }

  /**
   * Keeps an event that may report an error.
   *
   * @param {Buffer | string} data
   * @param {string} head its beginning
   * @returns {boolean} whether any error is kept
   */
  #error(data, head) {
    if (this.#errors.add(data, head)) {
      this.#wait();
      pending.add(this);
    }
    return this.#errors.any;
  }

  #wait() {
    this.#timer = setTimeout(this.#timeOut, CLOSE_WAIT_MS).unref();
  }

  /**
   * Receives the end of the connection.
   *
   * @param {number} code the close code of the server's CLOSE frame; 1005 if it has none, 1006 without a frame
   * @param {string} reason the CLOSE frame's reason
   * @param {boolean} byClient whether the client started the closing handshake
   */
  closed(code, reason, byClient) {
    if (this.#closed) return;
    this.#closed = true;
    // The server's echo of the client's own close is not a failure.
    const echo = byClient && !REFUSALS.includes(code);
    const errors = this.#popAll();
    const newest = errors.pop();
    this.#reportAll(errors);
    if (newest?.symptom.kind === 'error' && !echo) {
      this.#report({ ...newest.symptom, close_code: code, close_reason: reason }, { count: newest.count });
      return;
    }
    if (newest) this.#report(newest.symptom, { byClient: newest.symptom.kind === 'error', count: newest.count });
    if (!echo && code !== 1000) {
      this.#report({ kind: 'close', close_code: code, close_reason: reason });
    } else {
      const cause = this.progress?.silence();
      if (cause) this.#report({ kind: 'silent', cause });
    }
  }

  /**
   * Receives the end of the connection without a CLOSE frame.
   *
   * @param {boolean} byClient whether the client dropped the connection
   */
  lost(byClient) {
    this.closed(1006, '', byClient);
  }

  /**
   * Receives a response to the handshake other than 101.
   *
   * @param {number} status
   * @param {string} body the response's body, or its beginning
   */
  refused(status, body) {
    if (this.#closed) return;
    this.#closed = true;
    // A client that follows the redirect has sent another request by now.
    if (status >= 300 && status < 400 && watches > this.#number) return;
    this.#report({ kind: 'handshake', status, message: textOf(body || undefined) });
  }

  /**
   * Receives an error that came before the server answered the handshake.
   *
   * @param {unknown} error the client's own error, which goes on to the application
   * @param {ConnectCause} [cause] why there is no connection, if the error does not show it
   */
  failedToConnect(error, cause = causeOf(error)) {
    if (this.#closed) return;
    this.#closed = true;
    this.#report({ kind: 'connect', cause, message: textOf(describe(error)) });
  }

  /** Receives the end of a connect attempt that the application itself aborted. */
  aborted() {
    const ms = performance.now() - this.#startedAt;
    if (ms < ABORT_MS) this.#closed = true;
    else this.failedToConnect(new Error(`the application aborted the attempt after ${(ms / 1000).toFixed(1)} s`), 'timeout');
  }

  /** Notes that the messages of the connection cannot be read. */
  unreadable() {
    reportUnreadable(this.#info, this.#session);
  }

  /** Reports the error events that wait for a close. */
  flush() {
    this.#reportAll(this.#popAll());
  }

  #popAll() {
    clearTimeout(this.#timer);
    pending.delete(this);
    return this.#errors.pop();
  }

  /** @param {ErrorEvent[]} errors */
  #reportAll(errors) {
    for (const { symptom, count } of errors) this.#report(symptom, { count });
  }

  /**
   * @param {Symptom} symptom
   * @param {{ byClient?: boolean, count?: number }} [options]
   */
  #report(symptom, options) {
    if (this.#session === 'conversation' && !isReportedOfConversation(symptom)) return;
    report(this.#info, symptom, { session: this.#session, ...options });
  }
}

/**
 * Returns whether a symptom is the refusal of a session or concerns transcription.
 *
 * @param {Symptom} symptom
 */
function isReportedOfConversation({ kind, close_code, param = '', message = '' }) {
  if (['handshake', 'connect', 'failed'].includes(kind)) return true;
  if (close_code !== undefined && REFUSALS.includes(close_code)) return true;
  return kind === 'error' && (TRANSCRIPTION_PARAM.test(param) || TRANSCRIPTION_UPDATE.test(message));
}

module.exports = { Watch };

/**
 * Watching one realtime transcription socket: from what the server sent to at most one report per failure.
 *
 * The twin of `watch.py`. An `error` event is held for a moment, because whether it was fatal is known only when the
 * close that may follow has come.
 */
'use strict';

// Not the globals, which test frameworks replace.
const { clearTimeout, setTimeout } = require('node:timers');
const { report, sayUncounted } = require('./report.cjs');
const { guarded } = require('./guard.cjs');

/** @import { Failure } from './diagnosis.cjs' */
/** @import { Source } from './report.cjs' */

// Both events of interest hold an "error" object; every other message costs the search for this. Without the beginning:
// a search looks for the first letter, and quotes and e's are everywhere in JSON.
const WORD = 'rror"';
// The endpoint sends the CLOSE frame of a refusal in the same millisecond as the error event (capture 2026-09-18).
const HOLD_MS = 500;

/** @type {Set<Watch>} the watches that hold an error event */
const held = new Set();
let watches = 0;

const atExit = guarded('telling the last failures', () => {
  for (const watch of held) watch.flush();
  sayUncounted();
});

class Watch {
  #source;
  #number;
  #over = false;
  /** @type {Failure | undefined} */
  #error;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #flush = guarded('telling a failure', () => this.flush());

  /** @param {Source} source whose socket it is */
  constructor(source) {
    this.#source = source;
    if (watches === 0) process.on('exit', atExit);
    watches += 1;
    this.#number = watches;
  }

  /**
   * Takes one whole text message from the server.
   *
   * @param {Buffer | string} data
   */
  message(data) {
    if (data.includes(WORD)) this.#event(data.toString());
  }

  /** @param {string} data */
  #event(data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return;
    }
    if (event?.type === 'error') {
      this.flush();
      this.#error = failureOf('error', event.error);
      this.#timer = setTimeout(this.#flush, HOLD_MS).unref();
      held.add(this);
    } else if (event?.type === 'conversation.item.input_audio_transcription.failed') {
      report(this.#source, failureOf('failed', event.error));
    }
  }

  /**
   * Takes the end of the connection.
   *
   * @param {number} code the code of the server's CLOSE frame; 1005 when it had none, 1006 when no frame came
   * @param {string} reason the CLOSE frame's reason
   * @param {boolean} byClient whether the client began the closing handshake
   */
  closed(code, reason, byClient) {
    if (this.#over) return;
    this.#over = true;
    const error = this.#take();
    // An echo of the client's own close says nothing of the server.
    const echo = byClient && code !== 3000 && code !== 4000;
    if (error !== undefined) {
      if (echo) report(this.#source, error, true);
      else report(this.#source, { ...error, close_code: code, close_reason: reason });
    } else if (!echo && code !== 1000) {
      report(this.#source, { kind: 'close', close_code: code, close_reason: reason });
    }
  }

  /**
   * Takes the end of the connection without a CLOSE frame.
   *
   * @param {boolean} byClient whether the client itself hung up
   */
  lost(byClient) {
    this.closed(1006, '', byClient);
  }

  /**
   * Takes an answer to the handshake other than 101.
   *
   * @param {number} status
   * @param {string} body the response's body, or the beginning of it
   */
  refused(status, body) {
    if (this.#over) return;
    this.#over = true;
    // A client that follows the redirection has asked again by now.
    if (status < 400 && watches > this.#number) return;
    report(this.#source, { kind: 'handshake', status, message: body || undefined });
  }

  /**
   * Takes an error that came before any answer to the handshake.
   *
   * @param {unknown} error the client's own, which goes on to the application
   * @param {Failure['cause']} [cause] why, where the error does not say it
   */
  failedToConnect(error, cause = causeOf(error)) {
    if (this.#over) return;
    this.#over = true;
    report(this.#source, { kind: 'connect', cause, message: textOf(error) });
  }

  /** Reports the error event that is held, if one is. */
  flush() {
    const error = this.#take();
    if (error !== undefined) report(this.#source, error);
  }

  #take() {
    const error = this.#error;
    this.#error = undefined;
    clearTimeout(this.#timer);
    held.delete(this);
    return error;
  }
}

/**
 * A failure from the `error` object of an event; gateways are known to send a bare string.
 *
 * @param {'error' | 'failed'} kind
 * @param {any} error
 * @returns {Failure}
 */
function failureOf(kind, error) {
  /** @param {unknown} value */
  const text = (value) => (value === undefined || value === null ? undefined : String(value));
  if (typeof error !== 'object' || error === null) return { kind, message: text(error) };
  return {
    kind,
    type: text(error.type),
    code: text(error.code),
    message: text(error.message),
    param: text(error.param),
  };
}

/** @param {any} error */
function textOf(error) {
  // Of several addresses tried at once, each with an error of its own, the first speaks for all.
  const first = error?.message ? error : (error?.errors?.[0] ?? error);
  return `${first?.name ?? 'Error'}: ${first?.message || first?.code || first}`;
}

/** @type {[Exclude<Failure['cause'], undefined>, RegExp][]} causes by the codes of Node, OpenSSL and undici */
const CAUSES = [
  ['dns', /^(?:ENOTFOUND|EAI_)/],
  ['tls', /^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|UND_ERR_PRX_TLS)/],
  ['timeout', /^(?:ETIMEDOUT|ESOCKETTIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT)/],
  ['refused', /^ECONNREFUSED/],
];

/**
 * Why a connection could not be opened.
 *
 * @param {any} error
 * @returns {Exclude<Failure['cause'], undefined>}
 */
function causeOf(error) {
  for (let seen = error, depth = 0; seen && depth < 8; seen = seen.cause ?? seen.errors?.[0], depth++) {
    const found = CAUSES.find(([, codes]) => codes.test(String(seen.code ?? '')));
    if (found) return found[0];
  }
  return 'other';
}

module.exports = { WORD, Watch, causeOf };

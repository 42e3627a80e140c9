/**
 * The warning: one readable line on stderr per failure, never one per retry.
 *
 * A storm of the same failure (a client that reconnects for ever) is said once, then counted: the next line comes a
 * minute later at the earliest and says how many there were; what is still uncounted is said when the process ends.
 *
 * On stderr, and not through `process.emitWarning`: NODE_NO_WARNINGS, which production images like to set, would make
 * the failure as silent as the client left it, and a warning of the last moment is lost, since it waits for a tick that
 * an exiting process does not have. A program that wants the failure's fields subscribes to the channel
 * `rtstt_shim:failure` of `node:diagnostics_channel`.
 */
'use strict';

const { Console } = require('node:console');
const { channel } = require('node:diagnostics_channel');
const { diagnose } = require('./diagnosis.cjs');
const { libraryOn } = require('./library.cjs');
const { redact, redactUrl } = require('./redact.cjs');
const { isNative } = require('./url_rule.cjs');

/** @import { Diagnosis, Failure } from './diagnosis.cjs' */

/**
 * Whose socket it is.
 *
 * @typedef {object} Source
 * @property {string} stack who opened it
 * @property {string} fallback what to call the library where the stack does not tell it
 * @property {string} url the URL that was connected to, secrets included; never said as it is
 */

const STORM_MS = 60_000;
const STORMS_KEPT = 256;

/** @type {Map<string, { line: string, saidAt: number, more: number }>} */
const storms = new Map();
const failures = channel('rtstt_shim:failure');

/** @type {Console | undefined} */
let output;

/** @param {string} line */
function say(line) {
  try {
    // One of our own: what the application makes of its `console` must not make the warning disappear. Unlike a plain
    // write it survives a closed pipe.
    output ??= new Console(process.stderr, process.stderr);
    output.error('%s', line);
  } catch {
    // There is no stderr: nothing can be said, and the application must not notice.
  }
}

/**
 * Says one failure, or counts it when it is one more of a storm.
 *
 * @param {Source} source whose socket it is
 * @param {Failure} failure what was seen; `native` is filled in here
 * @param {boolean} [byClient] whether the client closed the connection after an error event
 */
function report(source, failure, byClient = false) {
  const seen = { ...failure, native: isNative(source.url) };
  for (const name of /** @type {const} */ (['type', 'code', 'message', 'param', 'close_reason'])) {
    if (seen[name] !== undefined) seen[name] = redact(seen[name]);
  }
  const diagnosis = diagnose(seen);
  const { library, version } = libraryOn(source.stack, source.fallback);
  const url = redactUrl(source.url);
  const line = lineOf(`${library} ${version}`.trimEnd(), url, seen, diagnosis, byClient);
  const { kind, code, param, close_code, status } = seen;
  const key = JSON.stringify([library, url, diagnosis.id, kind, code, param, close_code, status]);
  const now = performance.now();
  const storm = storms.get(key);
  if (storm !== undefined && now - storm.saidAt < STORM_MS) {
    storm.more += 1;
    return;
  }
  const more = storm?.more ?? 0;
  if (storm === undefined && storms.size >= STORMS_KEPT) {
    for (const oldest of storms.keys()) {
      storms.delete(oldest);
      break;
    }
  }
  storms.set(key, { line, saidAt: now, more: 0 });
  say(line + again(more));
  if (failures.hasSubscribers) {
    const { native, ...fields } = seen;
    failures.publish({ library, version, url, diagnosis: diagnosis.id, fatal: diagnosis.fatal, ...fields, more });
  }
}

/** Says how often the failures came that were counted and not said; for the end of the process. */
function sayUncounted() {
  for (const { line, more } of storms.values()) {
    if (more) say(line + again(more));
  }
  storms.clear();
}

/** @param {number} more */
const again = (more) => (more ? ` (and ${more} more like it)` : '');

/** @type {(client: string, url: string, failure: Failure, diagnosis: Diagnosis, byClient: boolean) => string} */
function lineOf(client, url, failure, diagnosis, byClient) {
  const { type, code, message, status, close_code, close_reason } = failure;
  let lead = 'realtime transcription error, the session stays open';
  if (failure.kind === 'failed') lead = 'realtime transcription item failed';
  else if (diagnosis.fatal) lead = 'realtime transcription session failed';
  else if (byClient) lead = 'realtime transcription error, then the client closed the session';
  const seen = [];
  if (code || type || message) seen.push([code || type, message].filter(Boolean).join(': '));
  if (status !== undefined) seen.push(`HTTP ${status}`);
  if (close_code === 1006) seen.push('closed 1006 without a close frame');
  else if (close_code !== undefined) seen.push(`closed ${close_code} ${close_reason ?? ''}`.trimEnd());
  const evidence = seen.length ? ` (${seen.join('; ')})` : '';
  return `rtstt_shim: ${lead}: ${diagnosis.what}${evidence}. ${diagnosis.doThis} [${client}, ${url}]`;
}

module.exports = { say, report, sayUncounted };

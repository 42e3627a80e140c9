/**
 * The lines about the shim's findings: one readable line for each failure, not for each retry.
 *
 * A failure that repeats (a client that reconnects in a loop) is printed once, then counted. The next line comes at the
 * earliest a minute later and gives the count; counts that remain are printed when the process exits. A program that wants
 * the failure's fields subscribes to the channel `rtstt_shim:failure` of `node:diagnostics_channel`.
 */
'use strict';

const { channel } = require('node:diagnostics_channel');
const { diagnose } = require('./diagnosis.cjs');
const { libraryOn } = require('./library.cjs');
const { info: printInfo, warn } = require('./log.cjs');
const { redact, redactUrl } = require('./redact.cjs');
const { isNative } = require('./url_rule.cjs');

/** @import { Diagnosis, Symptom } from './diagnosis.cjs' */

/**
 * The connection that a report is about.
 *
 * @typedef {object} ConnectionInfo
 * @property {string} stack the call stack of the code that opened it
 * @property {string} fallback the library's name if the stack does not show it
 * @property {string} url the URL connected to, with its secrets; it is never printed as it is
 */

/**
 * @typedef {object} ReportOptions
 * @property {'transcription' | 'conversation'} [session] what the connection was to open
 * @property {boolean} [byClient] whether the client closed the connection after an `error` event
 * @property {number} [count] how often the symptom occurred
 */

const INTERVAL_MS = 60_000;
const MAX_REPORTED = 256;

/** @type {Map<string, { print: (line: string) => void, line: string, printedAt: number, repeats: number }>} */
const reported = new Map();
const failures = channel('rtstt_shim:failure');
let unreadable = false;

/**
 * Prints a failure, or counts it if the same one was printed within the last minute. A session that ended well and
 * without a transcript is printed only with `RTSTT_SHIM_LOG=info`.
 *
 * @param {ConnectionInfo} info the connection that failed
 * @param {Symptom} symptom what the server or the network did; `native` is set here
 * @param {ReportOptions} [options]
 */
function report(info, symptom, { session = 'transcription', byClient = false, count = 1 } = {}) {
  const diagnosis = diagnose({ ...symptom, native: isNative(info.url) });
  const masked = { ...symptom };
  for (const name of /** @type {const} */ (['type', 'code', 'message', 'param', 'close_reason'])) {
    if (masked[name] !== undefined) masked[name] = redact(masked[name]);
  }
  const { library, version, url, place } = placeOf(info);
  const line = `rtstt_shim: ${leadOf(masked, diagnosis, session, byClient)}: ${diagnosis.what}${evidenceOf(masked)}. ${
    diagnosis.doThis
  } ${place}`;
  const { kind, code, param, close_code, status } = masked;
  const key = JSON.stringify([library, url, diagnosis.id, kind, code, param, close_code, status]);
  const now = performance.now();
  const before = reported.get(key);
  if (before !== undefined && now - before.printedAt < INTERVAL_MS) {
    before.repeats += count;
    return;
  }
  const more = before?.repeats ?? 0;
  if (before === undefined && reported.size >= MAX_REPORTED) {
    for (const oldest of reported.keys()) {
      reported.delete(oldest);
      break;
    }
  }
  const print = kind === 'silent' ? printInfo : warn;
  reported.set(key, { print, line, printedAt: now, repeats: count - 1 });
  print(line + countOf(more));
  if (failures.hasSubscribers) {
    const { id, fatal } = diagnosis;
    failures.publish({ library, version, url, session, diagnosis: id, fatal, ...masked, more });
  }
}

/**
 * Prints, once in a process, that the messages of a compressed connection cannot be read.
 *
 * @param {ConnectionInfo} info the connection
 * @param {'transcription' | 'conversation'} session what it opens; of a conversation it is printed only with
 *   `RTSTT_SHIM_LOG=info`
 */
function reportUnreadable(info, session) {
  if (unreadable) return;
  unreadable = true;
  const print = session === 'transcription' ? warn : printInfo;
  print(
    "rtstt_shim: of a realtime connection only the end is read, because its messages are compressed and its client is " +
      `neither ws nor the WebSocket of undici. Turn permessage-deflate off to get its errors reported as well. ${placeOf(info).place}`,
  );
}

/** @param {ConnectionInfo} info */
function placeOf({ stack, fallback, url: unmasked }) {
  const { library, version } = libraryOn(stack, fallback);
  const url = redactUrl(unmasked);
  return { library, version, url, place: `[${`${library} ${version}`.trimEnd()}, ${url}]` };
}

/** Prints the counts of failures that have repeated since they were printed. */
function reportRemainingCounts() {
  for (const { print, line, repeats } of reported.values()) {
    if (repeats) print(line + countOf(repeats));
  }
  reported.clear();
}

/** @param {number} repeats */
const countOf = (repeats) => (repeats ? ` (and ${repeats} more like it)` : '');

/** @type {(symptom: Symptom, diagnosis: Diagnosis, session: string, byClient: boolean) => string} */
function leadOf({ kind }, { fatal }, session, byClient) {
  if (kind === 'failed') return 'realtime transcription item failed';
  if (kind === 'silent') return 'realtime transcription session ended without a transcript';
  if (fatal) return `realtime ${session} session failed`;
  if (byClient) return 'realtime transcription error, then the client closed the session';
  return 'realtime transcription error, the session stays open';
}

/** @param {Symptom} symptom */
function evidenceOf({ type, code, message, status, close_code, close_reason }) {
  const parts = [];
  if (code || type || message) parts.push([code || type, message].filter(Boolean).join(': '));
  if (status !== undefined) parts.push(`HTTP ${status}`);
  if (close_code === 1006) parts.push('closed 1006 without a close frame');
  else if (close_code !== undefined) parts.push(`closed ${close_code} ${close_reason ?? ''}`.trimEnd());
  return parts.length ? ` (${parts.join('; ')})` : '';
}

module.exports = { report, reportRemainingCounts, reportUnreadable };

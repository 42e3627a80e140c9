/**
 * The diagnosis: from what was seen on a socket to what happened and what to do about it.
 *
 * The twin of `diagnosis.py`; both read the table `diagnosis.json`.
 */
'use strict';

const { readFileSync } = require('node:fs');
const { join } = require('node:path');

/**
 * What was seen on one socket when it failed.
 *
 * @typedef {object} Failure
 * @property {'error' | 'failed' | 'close' | 'handshake' | 'connect'} kind an `error` event, an item's
 *   `…transcription.failed`, a close other than 1000, an HTTP status other than 101, or no connection
 * @property {boolean} [native] whether the URL's host is OpenAI's own
 * @property {string} [type] the event's `error.type`
 * @property {string} [code] the event's `error.code`
 * @property {string} [message] the event's `error.message`, the response's body or the exception's text
 * @property {string} [param] the event's `error.param`
 * @property {number} [close_code] the close code, when the connection is closed; 1006 when no close frame came
 * @property {string} [close_reason] the close frame's reason
 * @property {number} [status] the HTTP status of a refused handshake
 * @property {'dns' | 'tls' | 'timeout' | 'refused' | 'other'} [cause] why there is no connection
 */

/**
 * What a failure means.
 *
 * @typedef {object} Diagnosis
 * @property {string} id the name of the table's row
 * @property {string} what what happened, a clause
 * @property {string} doThis what to do, one or two sentences
 * @property {boolean} fatal whether the session is over, or never began
 */

/** @typedef {{ id: string, when: Record<string, unknown>, what: string, do: string }} Row */

const SEARCHED = new Set(['message', 'param', 'close_reason']);

/** @type {Row[] | undefined} */
let table;

function rows() {
  // Read when the first failure is seen: an application without failures never pays for it.
  table ??= /** @type {Row[]} */ (
    JSON.parse(readFileSync(join(__dirname, '..', 'diagnosis.json'), 'utf8')).rows
  );
  return table;
}

/** @type {(name: string, wanted: unknown, seen: unknown) => boolean} */
function holds(name, wanted, seen) {
  if (SEARCHED.has(name)) return typeof seen === 'string' && new RegExp(String(wanted)).test(seen);
  return Array.isArray(wanted) ? wanted.includes(seen) : wanted === seen;
}

/**
 * Looks a failure up.
 *
 * @param {Failure} failure what was seen
 * @returns {Diagnosis} the first row of the table whose conditions all hold; there is one for every kind
 */
function diagnose(failure) {
  const seen = /** @type {Record<string, unknown>} */ ({ native: true, ...failure });
  const row = rows().find(({ when }) => Object.keys(when).every((name) => holds(name, when[name], seen[name])));
  if (row === undefined) throw new RangeError(`no such kind of failure: ${failure.kind}`);
  /** @param {string} text */
  const fill = (text) => text.replaceAll('{param}', () => failure.param ?? '');
  return {
    id: row.id,
    what: fill(row.what),
    doThis: fill(row.do),
    fatal: !['error', 'failed'].includes(failure.kind) || failure.close_code !== undefined,
  };
}

module.exports = { diagnose };

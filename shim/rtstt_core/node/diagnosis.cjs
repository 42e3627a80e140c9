/**
 * The diagnosis: from a symptom on a connection to what happened and what to do about it.
 *
 * The twin of `diagnosis.py`; both read the table `diagnosis.json`.
 */
'use strict';

const { redact } = require('./redact.cjs');

/**
 * @typedef {'dns' | 'tls' | 'timeout' | 'refused' | 'hang-up' | 'other'} ConnectCause
 * @typedef {'not-configured' | 'silence' | 'not-committed' | 'no-speech' | 'pending' | 'other'} SilenceCause
 */

/**
 * What the server or the network did when a session failed.
 *
 * @typedef {object} Symptom
 * @property {'error' | 'failed' | 'close' | 'handshake' | 'connect' | 'silent'} kind an `error` event, an item's
 *   `…transcription.failed`, a close code other than 1000, an HTTP status other than 101, no connection, or a session in
 *   which audio was sent and neither a transcript nor an error arrived
 * @property {boolean} [native] whether the URL's host is one of OpenAI's own
 * @property {string} [type] the event's `error.type`
 * @property {string} [code] the event's `error.code`
 * @property {string} [message] the event's `error.message`, the response's body or the exception's text
 * @property {string} [param] the event's `error.param`
 * @property {number} [close_code] the close code once the connection is closed; 1006 without a CLOSE frame
 * @property {string} [close_reason] the CLOSE frame's reason
 * @property {number} [status] the HTTP status of a refused handshake
 * @property {ConnectCause | SilenceCause} [cause] why there is no connection, or why there is no transcript
 */

/**
 * What a symptom means.
 *
 * @typedef {object} Diagnosis
 * @property {string} id the name of the table's row
 * @property {string} what what happened, as a clause without secrets
 * @property {string} doThis what to do, in one or two sentences without secrets
 * @property {boolean} fatal whether the session has ended or never began
 */

/** @typedef {Record<string, unknown>} Conditions */
/** @typedef {{ id: string, when: Conditions | Conditions[], what: string, do: string }} Row */

const PATTERNS = new Set(['message', 'param', 'close_reason']);

/** @type {Row[] | undefined} */
let table;

function rows() {
  // Read with the first symptom: an application without failures does not pay for it. Bundlers follow `require`.
  table ??= /** @type {Row[]} */ (require('./diagnosis.json').rows);
  return table;
}

/**
 * Returns the named groups of the patterns if all conditions match.
 *
 * @param {Conditions} conditions
 * @param {Record<string, unknown>} symptom
 * @returns {Record<string, string> | undefined}
 */
function match(conditions, symptom) {
  /** @type {Record<string, string>} */
  const groups = {};
  for (const [name, expected] of Object.entries(conditions)) {
    const actual = symptom[name];
    if (PATTERNS.has(name)) {
      // Python writes named groups with a P.
      const found = typeof actual === 'string' && new RegExp(String(expected).replaceAll('(?P<', '(?<')).exec(actual);
      if (!found) return undefined;
      Object.assign(groups, found.groups);
    } else if (Array.isArray(expected) ? !expected.includes(actual) : actual !== expected) {
      return undefined;
    }
  }
  return groups;
}

/**
 * Returns the first row of the table that matches; every kind has one.
 *
 * @param {Symptom} symptom what the server or the network did, with its secrets: rows match by the server's own words
 * @returns {Diagnosis}
 */
function diagnose(symptom) {
  const fields = /** @type {Record<string, unknown>} */ ({ native: true, ...symptom });
  for (const row of rows()) {
    for (const conditions of Array.isArray(row.when) ? row.when : [row.when]) {
      const groups = match(conditions, fields);
      if (!groups) continue;
      /** @type {Record<string, string>} */
      const values = { param: symptom.param ?? '', ...groups };
      /** @param {string} text */
      const fill = (text) => text.replace(/\{(\w+)\}/g, (_, name) => redact(values[name]));
      return {
        id: row.id,
        what: fill(row.what),
        doThis: fill(row.do),
        fatal: ['close', 'handshake', 'connect'].includes(symptom.kind) || symptom.close_code !== undefined,
      };
    }
  }
  throw new RangeError(`unknown kind of symptom: ${symptom.kind}`);
}

module.exports = { diagnose };

/** The decision about the URL of a WebSocket handshake: the same for every client. */
'use strict';

const { info, warn } = require('./log.cjs');
const { redact, redactUrl } = require('./redact.cjs');
const { fixUrl, invalidHosts } = require('./url_rule.cjs');
const { callStack, libraryOn } = require('./library.cjs');
const { Watch } = require('./watch.cjs');

/** @import { ConnectionInfo } from './report.cjs' */

/** @typedef {'transcription' | 'conversation'} Session */

let corrected = 0;

const invalid = invalidHosts(process.env.RTSTT_SHIM_HOSTS ?? '').map((name) => `'${redact(name)}'`);
if (invalid.length) {
  warn(
    `rtstt_shim: RTSTT_SHIM_HOSTS names ${invalid.join(', ')}, which no host can match; list host names separated by ` +
      'commas, without a scheme, a port or a path',
  );
}

/**
 * A handshake whose request is not written yet.
 *
 * @typedef {object} Handshake
 * @property {string} path the path and query to request
 * @property {(url?: string) => Watch} watch begins to watch the connection
 */

/**
 * Decides about the URL of a handshake.
 *
 * @param {string} origin the URL up to its path
 * @param {string} path the path and query that the client asks for
 * @param {string} fallback the library's name if the call stack does not show it
 * @param {typeof plainWatch} [watchOf] makes the watch of the connection
 * @returns {Handshake | undefined} nothing if the connection is neither to be corrected nor watched
 */
function decideHandshake(origin, path, fallback, watchOf = plainWatch) {
  const decision = fixUrl(origin + path);
  const { session, url } = decision;
  if (session === 'none') return undefined;
  if (decision.changed) logFirst(origin + path, decision.url, decision.reason, fallback);
  return {
    path: url.slice(origin.length),
    watch: (connected = url) => watchOf({ stack: callStack(), fallback, url: connected }, { ...decision, session }),
  };
}

/** @type {(info: ConnectionInfo, decision: { session: Session, changed: boolean, reason: string }) => Watch} */
const plainWatch = (info, { session }) => new Watch(info, session);

/** @type {(from: string, to: string, reason: string, fallback: string) => void} */
function logFirst(from, to, reason, fallback) {
  corrected += 1;
  if (corrected > 1) return;
  const { library } = libraryOn(callStack(), fallback);
  info(`rtstt_shim: corrected the URL of a ${library} connection from ${redactUrl(from)} to ${redactUrl(to)}: ${reason}`);
}

module.exports = { decideHandshake };

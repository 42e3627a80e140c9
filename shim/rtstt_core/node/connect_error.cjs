/** Why a connection could not be opened, read from the error that the client gets: the twin of `connect_error.py`. */
'use strict';

/** @import { ConnectCause } from './diagnosis.cjs' */

// How many errors of a chain are examined: a chain may be circular.
const DEPTH = 8;

/** @type {[ConnectCause, RegExp][]} causes by the codes of Node, OpenSSL and undici */
const CAUSES = [
  ['dns', /^(?:ENOTFOUND|EAI_)/],
  ['tls', /^(?:ERR_TLS|ERR_SSL|EPROTO|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|UND_ERR_PRX_TLS)/],
  ['timeout', /^(?:ETIMEDOUT|ESOCKETTIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT)/],
  ['refused', /^ECONNREFUSED/],
  // The server, or a proxy in front of it, closed the connection during the TLS or the WebSocket handshake.
  ['hang-up', /^(?:ECONNRESET|EPIPE|UND_ERR_SOCKET)/],
];

/**
 * Returns why a connection could not be opened.
 *
 * @param {any} error
 * @returns {ConnectCause}
 */
function causeOf(error) {
  for (let current = error, depth = 0; current && depth < DEPTH; current = current.cause ?? current.errors?.[0], depth++) {
    const found = CAUSES.find(([, codes]) => codes.test(String(current.code ?? '')));
    if (found) return found[0];
  }
  return 'other';
}

/**
 * Returns the name and text of an error.
 *
 * @param {any} error
 */
function describe(error) {
  // An error for several addresses has no text of its own: that of the first address stands for all.
  const first = error?.message ? error : (error?.errors?.[0] ?? error);
  return `${first?.name ?? 'Error'}: ${first?.message || first?.code || first}`;
}

module.exports = { causeOf, describe };

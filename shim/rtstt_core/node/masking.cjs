/**
 * The masking of secrets in what is recorded, by their position and by the shape of OpenAI's keys: the twin of `masking.py`.
 */
'use strict';

const { SHOWN_PARAMETERS } = require('./redact.cjs');

const KEY_SUBPROTOCOL = 'openai-insecure-api-key.';
const PREFIX = /^(?:sk-(?:proj-|svcacct-|admin-)?|ek_)?/;
const KEY = /(?<![A-Za-z0-9])(?:sk-|ek_|sess-)[A-Za-z0-9_-]{8,}/g;
// The headers that hold no secret.
const SHOWN_HEADERS = new Set([
  ...['accept', 'accept-encoding', 'accept-language', 'cache-control', 'connection', 'content-length', 'content-type'],
  ...['date', 'host', 'openai-beta', 'openai-log-session', 'origin', 'pragma', 'sec-websocket-extensions'],
  ...['sec-websocket-key', 'sec-websocket-version', 'upgrade', 'user-agent'],
]);
// The fields of events that hold credentials.
const SECRET_FIELDS = new Set([
  ...['access_token', 'api-key', 'api_key', 'apikey', 'authorization', 'client_secret', 'password', 'secret'],
]);

/**
 * Masks a key as the endpoint's messages do: its prefix, asterisks, its last four characters. One that is too short for
 * that becomes asterisks throughout.
 *
 * @param {string} secret
 */
function maskSecret(secret) {
  const [head] = /** @type {RegExpExecArray} */ (PREFIX.exec(secret));
  const rest = [...secret.slice(head.length)];
  if (rest.length < 12) return head + '*'.repeat(rest.length);
  return head + '*'.repeat(Math.min(rest.length - 4, 64)) + rest.slice(-4).join('');
}

/**
 * Masks every key in a text.
 *
 * @param {string} text
 */
function maskKeys(text) {
  return text.replace(KEY, maskSecret);
}

/**
 * Returns headers by lower-case name, secrets masked, repeated ones joined by a comma.
 *
 * @param {Iterable<[string, unknown]>} headers
 */
function maskHeaders(headers) {
  /** @type {Record<string, string>} */
  const masked = {};
  for (const [name, values] of headers) {
    for (const value of Array.isArray(values) ? values : [values]) {
      const key = name.toLowerCase();
      const text = maskHeader(key, String(value));
      define(masked, key, Object.hasOwn(masked, key) ? `${masked[key]}, ${text}` : text);
    }
  }
  return masked;
}

/** @type {(name: string, value: string) => string} */
function maskHeader(name, value) {
  if (name === 'sec-websocket-protocol') return value.split(',').map((word) => maskSubprotocol(word.trim())).join(', ');
  if (SHOWN_HEADERS.has(name)) return maskKeys(value);
  const space = value.indexOf(' ');
  const scheme = value.slice(0, Math.max(0, space));
  return scheme === 'Bearer' || scheme === 'Basic'
    ? `${scheme} ${maskSecret(value.slice(space + 1))}`
    : maskSecret(value);
}

/** @param {string} word */
function maskSubprotocol(word) {
  if (!word.startsWith(KEY_SUBPROTOCOL)) return maskKeys(word);
  return KEY_SUBPROTOCOL + maskSecret(word.slice(KEY_SUBPROTOCOL.length));
}

/**
 * Returns query parameters; values are masked unless the parameter is known to hold no secret.
 *
 * @param {URLSearchParams} query
 */
function maskQuery(query) {
  /** @type {Record<string, string[]>} */
  const masked = {};
  for (const [name, value] of query) {
    const key = maskKeys(name);
    if (!Object.hasOwn(masked, key)) define(masked, key, []);
    masked[key].push(SHOWN_PARAMETERS.has(name) ? maskKeys(value) : maskSecret(value));
  }
  return masked;
}

/**
 * Returns JSON data, such as an event, with its secrets masked.
 *
 * @param {any} data whatever JSON can hold
 * @returns {any}
 */
function maskJson(data) {
  if (typeof data === 'string') return maskKeys(data);
  if (Array.isArray(data)) return data.map(maskJson);
  if (typeof data !== 'object' || data === null) return data;
  const masked = {};
  for (const [name, value] of Object.entries(data)) {
    const lower = name.toLowerCase();
    let shown;
    if (SECRET_FIELDS.has(lower)) shown = maskStrings(value);
    else if (lower === 'headers' && isObject(value)) shown = mapValues(value, headerOrOther);
    else shown = maskJson(value);
    define(masked, maskKeys(name), shown);
  }
  return masked;
}

/** @type {(value: any, name: string) => any} */
const headerOrOther = (value, name) => (typeof value === 'string' ? maskHeader(name.toLowerCase(), value) : value);

/**
 * Returns JSON data with every string masked.
 *
 * @param {any} data
 * @returns {any}
 */
function maskStrings(data) {
  if (typeof data === 'string') return maskSecret(data);
  if (Array.isArray(data)) return data.map(maskStrings);
  return isObject(data) ? mapValues(data, maskStrings) : data;
}

/** @param {any} data */
const isObject = (data) => typeof data === 'object' && data !== null && !Array.isArray(data);

/** @type {(data: object, map: (value: any, name: string) => any) => object} */
function mapValues(data, map) {
  const mapped = {};
  for (const [name, value] of Object.entries(data)) define(mapped, name, map(value, name));
  return mapped;
}

/**
 * Sets a property of whatever name, `__proto__` included.
 *
 * @param {object} object
 * @param {string} name
 * @param {unknown} value
 */
function define(object, name, value) {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

module.exports = { maskHeaders, maskJson, maskKeys, maskQuery, maskSecret };

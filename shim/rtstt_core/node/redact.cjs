/** Texts and URLs without secrets, fit for a log line: the twin of `redact.py`. */
'use strict';

// OpenAI's keys (`sk-`, `sk-proj-`, `ek_`, `sess-`), Authorization values, and the key in a quoted subprotocol.
const SECRET = /(?<![a-z0-9_])(sk-|ek_|sess-|openai-insecure-api-key\.|Bearer\s+|Basic\s+)(?!\*)[\p{L}\p{N}_.~+/=*-]{4,}/giu;
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g;
// Any scheme: the URL of a proxy holds a password too.
const URL_IN_TEXT = /:\/\/[^\s"'<>]+/g;
const USERINFO = /(?<=\/\/)[^/]*@/g;
// Query parameters whose values help to explain a failure and identify no one; all other values are masked.
const SHOWN_PARAMETERS = new Set(['intent', 'model', 'deployment', 'api-version']);
const MAX_LENGTH = 400;

/** @param {string} text */
function clean(text) {
  const masked = text.replace(SECRET, '$1***').replace(CONTROL, ' ');
  const letters = masked.length > MAX_LENGTH ? [...masked] : [];
  return letters.length > MAX_LENGTH ? `${letters.slice(0, MAX_LENGTH - 3).join('')}...` : masked;
}

/** @param {string} pair */
function maskPair(pair) {
  const equals = pair.indexOf('=');
  const key = equals < 0 ? pair : pair.slice(0, equals);
  if (SHOWN_PARAMETERS.has(key)) return pair;
  // A word without a value may be a key.
  if (equals < 0) return key ? '***' : pair;
  return equals === pair.length - 1 ? pair : `${key}=***`;
}

/**
 * Returns a URL without userinfo and fragment, with the values of all but a few query parameters masked.
 *
 * @param {string} url any string
 */
function redactUrl(url) {
  const [whole] = url.split('#', 1);
  const question = whole.indexOf('?');
  if (question < 0) return clean(whole.replace(USERINFO, '***@'));
  const pairs = whole.slice(question + 1).split('&');
  return clean(`${whole.slice(0, question).replace(USERINFO, '***@')}?${pairs.map(maskPair).join('&')}`);
}

/**
 * Returns a text on one line, at most 400 characters long, with keys and the URLs in it masked.
 *
 * @param {string} text any string, such as the message of a server or of an exception
 */
function redact(text) {
  return clean(text.replace(URL_IN_TEXT, redactUrl));
}

module.exports = { SHOWN_PARAMETERS, redactUrl, redact };

/** Texts and URLs with every secret masked, fit for a log line: the twin of `redact.py`. */
'use strict';

// OpenAI's keys (`sk-`, `sk-proj-`, `ek_`, `sess-`), bearer values, and what a client may quote of the subprotocol.
const SECRET = /(?<![a-z0-9_])(sk-|ek_|sess-|openai-insecure-api-key\.|Bearer\s+|Basic\s+)(?!\*)[\p{L}\p{N}_.~+/=*-]{4,}/giu;
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g;
// Of any scheme: the URL of a proxy has a password too.
const URL_IN_TEXT = /:\/\/[^\s"'<>]+/g;
const USERINFO = /(?<=\/\/)[^/]*@/g;
// The only query parameters whose values say something about the failure and nothing about the caller.
const SPEAKING = new Set(['intent', 'model', 'deployment', 'api-version']);
const LIMIT = 400;

/** @param {string} text */
function clean(text) {
  const masked = text.replace(SECRET, '$1***').replace(CONTROL, ' ');
  const letters = masked.length > LIMIT ? [...masked] : [];
  return letters.length > LIMIT ? `${letters.slice(0, LIMIT - 3).join('')}...` : masked;
}

/** @param {string} pair */
function maskPair(pair) {
  const equals = pair.indexOf('=');
  const key = equals < 0 ? pair : pair.slice(0, equals);
  if (SPEAKING.has(key)) return pair;
  // A bare word may be a key just as well.
  if (equals < 0) return key ? '***' : pair;
  return equals === pair.length - 1 ? pair : `${key}=***`;
}

/**
 * The URL without userinfo and fragment, and with the values of all but a few query parameters masked.
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
 * Text from a server or an exception, on one line, bounded, with keys and the URLs in it masked.
 *
 * @param {string} text any string
 */
function redact(text) {
  return clean(text.replace(URL_IN_TEXT, redactUrl));
}

module.exports = { redactUrl, redact };

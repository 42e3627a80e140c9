/**
 * The URL rule: which realtime URLs OpenAI's endpoint is certain to refuse, and how to correct them.
 *
 * The twin of `url_rule.py`, which names the sources of its facts; `tests/vectors/url_rule.json` tests both.
 */
'use strict';

/**
 * @typedef {object} Decision
 * @property {string} url the URL to connect to
 * @property {boolean} changed whether `url` differs from what was given
 * @property {'drop-model' | 'set-intent' | 'keep'} rule
 * @property {string} reason the reason, as a clause for a log line
 * @property {'transcription' | 'conversation' | 'none'} session what a connection to `url` opens, as far as the URL tells
 * @property {boolean} native whether `url` is a realtime URL of OpenAI's own hosts, or of one that `RTSTT_SHIM_HOSTS` names
 */

// Scheme, authority, path, query, fragment. Backslashes, spaces and control characters are left unmatched: parsers
// disagree about the host of such a URL, so nothing is certain about it.
const PARTS =
  /^(?:ws|http)s?:\/\/([^/?#\\\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*)([^?#\\\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*)(?:\?([^#]*))?(?:#.*)?$/is;
const HOST_AND_PORT = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d*)?$/i;
const HOST_NAME = /^(?:\[[0-9a-f:.]+\]|[\p{L}\p{N}_-]+(?:\.[\p{L}\p{N}_-]+)*)$/u;
const NATIVE_HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*api\.openai\.com$/;
const TRANSCRIPTION_MODEL =
  /^(?:whisper-1|gpt-4o(?:-mini)?-transcribe(?:-diarize)?|gpt-(?:live-)?transcribe|gpt-realtime-whisper)(?:-\d{4}-\d{2}-\d{2})?$/;

// Not Buffer, which browsers do not have.
const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** @param {string} digits */
const fromHex = (digits) => Number.parseInt(digits, 16);

/** @param {string} setting */
function extraHosts(setting) {
  const names = setting.split(',').map((name) => name.trim().replace(/\.+$/, '').toLowerCase());
  return names.filter(Boolean);
}

/**
 * Returns the entries of `RTSTT_SHIM_HOSTS` that are not host names, and so match no URL.
 *
 * @param {string} setting the variable's value
 */
function invalidHosts(setting) {
  return extraHosts(setting).filter((name) => !HOST_NAME.test(name));
}

/**
 * Returns the host of a URL's authority, lower case and without a trailing dot; null for a malformed one.
 *
 * @param {string} authority
 */
function hostOf(authority) {
  const match = HOST_AND_PORT.exec(authority.slice(authority.lastIndexOf('@') + 1));
  return match ? match[1].toLowerCase().replace(/\.$/, '') : null;
}

/** @param {string} authority */
function isNativeAuthority(authority) {
  const host = hostOf(authority);
  if (host === null) return false;
  return NATIVE_HOST.test(host) || extraHosts(process.env.RTSTT_SHIM_HOSTS ?? '').includes(host);
}

/**
 * Returns whether the URL's host is one of OpenAI's own, or named by `RTSTT_SHIM_HOSTS`.
 *
 * @param {string} url
 */
function isNative(url) {
  const parts = PARTS.exec(url);
  return parts !== null && isNativeAuthority(parts[1]);
}

/**
 * Decodes like a query string, and leaves a malformed escape as it is.
 *
 * @param {string} text
 */
function unquote(text) {
  return text
    .replaceAll('+', ' ')
    .replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => UTF8.decode(Uint8Array.from(escapes.slice(1).split('%'), fromHex)));
}

/** @param {string} pair */
const keyOf = (pair) => unquote(pair.split('=', 1)[0]);

/** @param {string} pair */
const valueOf = (pair) => (pair.includes('=') ? unquote(pair.slice(pair.indexOf('=') + 1)) : '');

/**
 * Returns what a WebSocket with this URL opens, as far as the URL tells; see `_session` of `url_rule.py`.
 *
 * @param {string} path
 * @param {string[]} keys
 * @param {string[]} models
 * @param {string[]} intents in lower case
 * @param {boolean} native
 * @returns {Decision['session']}
 */
function sessionOf(path, keys, models, intents, native) {
  const segments = path.split('/');
  const place = segments.indexOf('realtime');
  if (place < 0) return 'none';
  const below = segments.slice(place + 1).filter(Boolean);
  if (below.includes('translations')) return native ? 'conversation' : 'none';
  const given = intents.filter(Boolean);
  if (given.some((intent) => intent.startsWith('transcri'))) return 'transcription';
  if (!native) {
    return !below.length && ['', 'v1', 'openai'].includes(segments[place - 1]) ? 'conversation' : 'none';
  }
  if (given.length) return 'conversation';
  if ([...below, ...models].some((name) => /transcri|whisper/.test(name.toLowerCase()))) return 'transcription';
  return models.length || below.length || keys.includes('call_id') ? 'conversation' : 'transcription';
}

/**
 * Decides how to change a realtime URL so that OpenAI's endpoint accepts the transcription session.
 *
 * @param {string} url any string; one that is not the URL of a realtime socket is kept
 * @returns {Decision} it never throws on a string, and applying it twice changes nothing more
 */
function fixUrl(url) {
  const parts = url.includes('realtime') ? PARTS.exec(url) : null;
  if (parts === null) {
    return { url, changed: false, rule: 'keep', reason: 'not a realtime URL', session: 'none', native: false };
  }
  const [, authority, path, query = ''] = parts;
  const pairs = query.split('&');
  const keys = pairs.map(keyOf);
  const models = pairs.filter((_, place) => keys[place] === 'model').map(valueOf);
  const intents = pairs.filter((_, place) => keys[place] === 'intent').map((pair) => valueOf(pair).toLowerCase());
  const native = isNativeAuthority(authority);
  const session = sessionOf(path, keys, models, intents, native);
  /** @type {(reason: string) => Decision} */
  const keep = (reason) => ({ url, changed: false, rule: 'keep', reason, session, native });

  if (!path.endsWith('/realtime')) return keep('not a realtime URL');
  if (!native) return keep(models.length ? 'not an OpenAI host: gateways route on `model`' : 'not an OpenAI host');
  if (!models.length) return keep('no `model` to drop');

  /** @type {Decision['rule']} */
  let rule;
  let reason;
  if (intents.length && intents.every((intent) => intent === 'transcription')) {
    rule = 'drop-model';
    reason = 'OpenAI refuses `model` beside intent=transcription';
  } else if (!intents.length && models.every((model) => TRANSCRIPTION_MODEL.test(model))) {
    rule = 'set-intent';
    reason = 'OpenAI refuses a transcription model as the session model';
    const first = keys.indexOf('model');
    pairs[first] = 'intent=transcription';
    keys[first] = 'intent';
  } else {
    return keep('not certain to be a transcription session');
  }

  const kept = pairs.filter((_, place) => keys[place] !== 'model');
  const start = url.indexOf('?') + 1;
  const fixed = url.slice(0, start) + kept.join('&') + url.slice(start + query.length);
  return { url: fixed, changed: true, rule, reason, session: 'transcription', native: true };
}

module.exports = { fixUrl, invalidHosts, isNative };

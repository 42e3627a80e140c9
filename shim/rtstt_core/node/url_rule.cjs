/**
 * The URL rule: which realtime URLs OpenAI's endpoint refuses for certain, and what they have to become.
 *
 * The twin of `url_rule.py`, which says where its facts come from; `tests/vectors/url_rule.json` tests them both.
 */
'use strict';


/**
 * @typedef {object} Decision
 * @property {string} url the URL to connect to
 * @property {boolean} changed whether `url` differs from what was given
 * @property {'drop-model' | 'set-intent' | 'keep'} rule
 * @property {string} reason one clause saying why
 * @property {boolean} transcription whether a connection to `url` is a realtime transcription session, worth watching
 */

// Scheme, authority, path, query, fragment. Backslashes, spaces and control characters are left unmatched: parsers
// disagree about the host of such a URL, so nothing is certain about it.
const PARTS =
  /^(?:ws|http)s?:\/\/([^/?#\\\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*)([^?#\\\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*)(?:\?([^#]*))?(?:#.*)?$/is;
const HOST_AND_PORT = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d*)?$/i;
const NATIVE_HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*api\.openai\.com$/;
const TRANSCRIPTION_MODEL =
  /^(?:whisper-1|gpt-4o(?:-mini)?-transcribe(?:-diarize)?|gpt-(?:live-)?transcribe|gpt-realtime-whisper)(?:-\d{4}-\d{2}-\d{2})?$/;

/** @param {string} setting */
function extraHosts(setting) {
  const names = setting.split(',').map((name) => name.trim().replace(/\.+$/, '').toLowerCase());
  return names.filter(Boolean);
}

/**
 * The host of a URL's authority, lower case and without a trailing dot; null for a malformed one.
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
 * Whether the URL's host is one of OpenAI's own, or named by `RTSTT_SHIM_HOSTS`.
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
    .replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString());
}

/** @param {string} pair */
const keyOf = (pair) => unquote(pair.split('=', 1)[0]);

/** @param {string} pair */
const valueOf = (pair) => (pair.includes('=') ? unquote(pair.slice(pair.indexOf('=') + 1)) : '');

/**
 * Decides what a realtime URL has to become so that OpenAI's endpoint accepts the transcription session.
 *
 * @param {string} url any string; one that is not the URL of a realtime socket is kept
 * @returns {Decision} it never throws on a string, and applying it twice changes nothing more
 */
function fixUrl(url) {
  /** @type {(reason: string, transcription?: boolean) => Decision} */
  const keep = (reason, transcription = false) => ({ url, changed: false, rule: 'keep', reason, transcription });

  if (!url.includes('realtime')) return keep('not a realtime URL');
  const parts = PARTS.exec(url);
  if (parts === null || !parts[2].endsWith('/realtime')) return keep('not a realtime URL');

  const query = parts[3] ?? '';
  const pairs = query.split('&');
  const models = pairs.filter((pair) => keyOf(pair) === 'model');
  const intents = pairs.filter((pair) => keyOf(pair) === 'intent').map((pair) => valueOf(pair).toLowerCase());
  const transcription = intents.length > 0 && intents.every((intent) => intent === 'transcription');

  if (!isNativeAuthority(parts[1])) {
    const reason = models.length ? 'not an OpenAI host: gateways route on `model`' : 'not an OpenAI host';
    return keep(reason, transcription);
  }
  // Without `intent` this is a transcription session only under a transcription client secret (`ek_…`); the endpoint
  // refuses it with `missing_model` otherwise, which is worth a warning too.
  if (!models.length) return keep('no `model` to drop', transcription || !intents.length);

  /** @type {string[]} */
  let kept;
  /** @type {Decision['rule']} */
  let rule;
  let reason;
  if (transcription) {
    kept = pairs.filter((pair) => keyOf(pair) !== 'model');
    rule = 'drop-model';
    reason = 'OpenAI refuses `model` beside intent=transcription';
  } else if (!intents.length && models.every((pair) => TRANSCRIPTION_MODEL.test(valueOf(pair)))) {
    const first = pairs.indexOf(models[0]);
    kept = pairs.flatMap((pair, place) =>
      place === first ? ['intent=transcription'] : keyOf(pair) === 'model' ? [] : [pair],
    );
    rule = 'set-intent';
    reason = 'OpenAI refuses a transcription model as the session model';
  } else {
    return keep('not a transcription session');
  }

  const start = url.indexOf('?') + 1;
  const fixed = url.slice(0, start) + kept.join('&') + url.slice(start + query.length);
  return { url: fixed, changed: true, rule, reason, transcription: true };
}

module.exports = { isNative, fixUrl };

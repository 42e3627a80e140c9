import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';
import diagnosis from '../../../shim/rtstt_core/node/diagnosis.cjs';
import masking from '../../../shim/rtstt_core/node/masking.cjs';
import redaction from '../../../shim/rtstt_core/node/redact.cjs';
import rule from '../../../shim/rtstt_core/node/url_rule.cjs';

const { diagnose } = diagnosis;
const { maskHeaders, maskJson, maskQuery } = masking;
const { redact, redactUrl } = redaction;
const { fixUrl, isNative } = rule;

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')).cases;

test('the URL rule decides as in its vectors', () => {
  for (const { name, url, fixed = url, rule, reason, session, native = false, RTSTT_SHIM_HOSTS } of vectors('url_rule')) {
    if (RTSTT_SHIM_HOSTS === undefined) delete process.env.RTSTT_SHIM_HOSTS;
    else process.env.RTSTT_SHIM_HOSTS = RTSTT_SHIM_HOSTS;
    const decision = fixUrl(url);
    const { url: to, changed } = decision;
    assert.deepEqual({ to, changed, rule: decision.rule }, { to: fixed, changed: fixed !== url, rule }, name);
    assert.equal(decision.reason, reason, name);
    assert.equal(decision.session, session, name);
    if (session !== 'none') assert.equal(decision.native, native, name);
    assert.equal(fixUrl(to).url, to, `${name}: twice`);
  }
  delete process.env.RTSTT_SHIM_HOSTS;
});

test('a host is native only when it is one', () => {
  assert.equal(isNative('wss://eu.api.openai.com./v1/realtime'), true);
  assert.equal(isNative('wss://api.openai.com'), true);
  assert.equal(isNative('wss://./v1/realtime'), false);
  assert.equal(isNative('no url'), false);
});

test('secrets are masked as in the vectors', () => {
  for (const { headers, query, json, masked } of vectors('masking')) {
    if (headers) assert.deepEqual(maskHeaders(headers), masked);
    else if (query) assert.deepEqual(maskQuery(new URLSearchParams(query)), masked);
    else assert.equal(JSON.stringify(maskJson(json)), JSON.stringify(masked));
  }
});

test('a symptom matches its row and gets its text', () => {
  for (const { symptom, row, text } of vectors('diagnosis')) {
    const { id, what, doThis } = diagnose(symptom);
    assert.deepEqual([id, `${what}. ${doThis}`], [row, text], JSON.stringify(symptom));
  }
});

test('a symptom one condition away from a row matches another', () => {
  for (const { symptom, row } of vectors('near_misses')) {
    assert.equal(diagnose(symptom).id, row, JSON.stringify(symptom));
  }
});

test('an unknown kind is a range error', () => {
  assert.throws(() => diagnose({ kind: 'nope' }), /^RangeError: unknown kind of symptom: nope$/);
});

test('a secret in a param is masked', () => {
  assert.equal(
    diagnose({ kind: 'error', code: 'unknown_parameter', param: 'session.sk-0123456789' }).doThis,
    'Remove session.sk-***, or move it to where the API reference has it.',
  );
});

test('a diagnosis names the parameter, and tells whether the session has ended', () => {
  const refused = diagnose({ kind: 'error', code: 'unknown_parameter', param: 'session.$&' });
  assert.equal(refused.what, 'session.update was discarded whole because session.$& is unknown, so no transcript will come');
  assert.equal(refused.doThis, 'Remove session.$&, or move it to where the API reference has it.');
  assert.equal(refused.fatal, false);
  assert.equal(diagnose({ kind: 'error', close_code: 4000 }).fatal, true);
  assert.equal(diagnose({ kind: 'failed' }).fatal, false);
  assert.equal(diagnose({ kind: 'connect', cause: 'dns' }).fatal, true);
});

test('a URL is shown without secrets', () => {
  for (const { url, shown } of vectors('redact').filter((one) => 'url' in one)) assert.equal(redactUrl(url), shown);
});

test('a text is shown without keys, on one line and bounded', () => {
  for (const { text, shown } of vectors('redact').filter((one) => 'text' in one)) assert.equal(redact(text), shown);
});

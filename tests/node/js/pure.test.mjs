import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { test } from 'node:test';
import diagnosis from '../../../shim/rtstt_core/node/diagnosis.cjs';
import redaction from '../../../shim/rtstt_core/node/redact.cjs';
import rule from '../../../shim/rtstt_core/node/url_rule.cjs';

// Not by name: Node finds the names in the text of a module, which mutation testing changes.
const { diagnose } = diagnosis;
const { redact, redactUrl } = redaction;
const { fixUrl, isNative } = rule;

const vectors = (name) => JSON.parse(readFileSync(new URL(`../../vectors/${name}.json`, import.meta.url), 'utf8')).cases;

test('the URL rule decides as its vectors say', () => {
  for (const { name, url, fixed = url, rule, reason, transcription, RTSTT_SHIM_HOSTS } of vectors('url_rule')) {
    if (RTSTT_SHIM_HOSTS === undefined) delete process.env.RTSTT_SHIM_HOSTS;
    else process.env.RTSTT_SHIM_HOSTS = RTSTT_SHIM_HOSTS;
    const decision = fixUrl(url);
    const { url: to, changed } = decision;
    assert.deepEqual({ to, changed, rule: decision.rule }, { to: fixed, changed: fixed !== url, rule }, name);
    assert.equal(decision.reason, reason, name);
    assert.equal(decision.transcription, transcription, name);
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

test('a failure is diagnosed as the vectors say', () => {
  for (const { failure, row, says } of vectors('diagnosis')) {
    const { id, what, doThis } = diagnose(failure);
    assert.deepEqual([id, `${what}. ${doThis}`], [row, says], JSON.stringify(failure));
  }
});

test('a failure that is one condition away from another row finds its own', () => {
  for (const { failure, row } of vectors('near_misses')) {
    assert.equal(diagnose(failure).id, row, JSON.stringify(failure));
  }
});

test('what is known of one kind is not said of another', () => {
  const sockets = vectors('diagnosis').filter(({ failure }) => ['close', 'handshake', 'connect'].includes(failure.kind));
  for (const { failure } of sockets) {
    assert.throws(() => diagnose({ ...failure, kind: 'nope' }), /^RangeError: no such kind of failure: nope$/);
  }
});

test('a diagnosis names the parameter, and says when the session is over', () => {
  const refused = diagnose({ kind: 'error', code: 'unknown_parameter', param: 'session.$&' });
  assert.equal(refused.what, 'session.update was discarded whole because of session.$&, so no transcript will come');
  assert.equal(refused.doThis, 'Correct or remove session.$&.');
  assert.equal(refused.fatal, false);
  assert.equal(diagnose({ kind: 'error', close_code: 4000 }).fatal, true);
  assert.equal(diagnose({ kind: 'failed' }).fatal, false);
  assert.equal(diagnose({ kind: 'connect', cause: 'dns' }).fatal, true);
});

test('a URL keeps what speaks and loses what is secret', () => {
  for (const { url, shown } of vectors('redact').filter((one) => 'url' in one)) assert.equal(redactUrl(url), shown);
});

test('a text keeps its meaning and loses keys, lines and length', () => {
  for (const { text, shown } of vectors('redact').filter((one) => 'text' in one)) assert.equal(redact(text), shown);
});

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import process from 'node:process';
import { beforeEach, mock, test } from 'node:test';

const lines = [];
mock.method(process.stderr, 'write', (text) => lines.push(text.replace(/\n$/, '')));
// What the application does to its console is no reason to be silent.
console.error = () => {};
// The modules keep the timers they find when they are loaded.
mock.timers.enable({ apis: ['setTimeout'] });
let now = 0;
mock.method(performance, 'now', () => now);
const { Watch, causeOf } = await import('../../../shim/rtstt_core/node/watch.cjs');
const { guarded, observe } = await import('../../../shim/rtstt_core/node/guard.cjs');
const { libraryOn } = await import('../../../shim/rtstt_core/node/library.cjs');

const URL_ = 'wss://api.openai.com/v1/realtime?intent=transcription';
const SHOWN = `[ws, ${URL_}]`;
const REFUSAL = JSON.stringify({
  type: 'error',
  error: {
    type: 'invalid_request_error',
    code: 'invalid_model',
    message: 'Model "whisper-1" is not supported in transcription mode.',
    param: null,
  },
});
const SAID = 'invalid_model: Model "whisper-1" is not supported in transcription mode.';
const WHAT = 'OpenAI refuses `model` in the URL of a transcription session';
const DO = 'Remove `model` from the URL and name it in session.audio.input.transcription.model instead.';

let unique = 0;
const watch = (url = URL_) => new Watch({ stack: '', fallback: 'ws', url });
/** A watch of a URL of its own, so that no storm of another test swallows its line. */
const fresh = () => watch(`ws://localhost:${(unique += 1)}/v1/realtime?intent=transcription`);

beforeEach(() => {
  lines.length = 0;
  now += 3_600_000;
});

test('a refusal is one line, with the error event and the close that followed it', () => {
  const one = watch();
  one.message(Buffer.from(REFUSAL));
  assert.deepEqual(lines, []);
  one.closed(4000, 'invalid_request_error.invalid_model', false);
  one.lost(false);
  mock.timers.tick(1000);
  assert.deepEqual(lines, [
    `rtstt_shim: realtime transcription session failed: ${WHAT} (${SAID}; closed 4000 invalid_request_error.invalid_model). ${DO} ${SHOWN}`,
  ]);
});

test('an error event that no close follows is told after half a second, as not fatal', () => {
  const one = watch();
  one.message(REFUSAL);
  mock.timers.tick(499);
  assert.deepEqual(lines, []);
  mock.timers.tick(1);
  assert.deepEqual(lines, [
    `rtstt_shim: realtime transcription error, the session stays open: ${WHAT} (${SAID}). ${DO} ${SHOWN}`,
  ]);
});

test('a client that closes after an error event is said to have closed', () => {
  const one = watch();
  one.message(REFUSAL);
  one.closed(1000, '', true);
  assert.deepEqual(lines, [
    `rtstt_shim: realtime transcription error, then the client closed the session: ${WHAT} (${SAID}). ${DO} ${SHOWN}`,
  ]);
});

test('a second error event tells the first at once', () => {
  const one = fresh();
  one.message('{"type":"error","error":"busy"}');
  one.message('{"type":"error","error":{"code":"rate_limit_exceeded"}}');
  assert.equal(lines.length, 1);
  assert.match(lines[0], /the endpoint sent an error \(busy\)/);
  one.lost(false);
  assert.match(lines[1], /a rate limit was hit \(rate_limit_exceeded; closed 1006 without a close frame\)/);
});

test('an item that failed is told at once', () => {
  const one = fresh();
  one.message('{"type":"conversation.item.input_audio_transcription.failed","error":{"type":"server_error","message":"429"}}');
  assert.match(lines[0], /^rtstt_shim: realtime transcription item failed: an item was not .* \(server_error: 429\)\. Retry/);
});

test('messages that are no failure, or no JSON, are nothing to tell', () => {
  const one = fresh();
  for (const message of ['{"type":"session.created","error":null}', '"error"', 'null "error"', '{"error"', 'hello']) one.message(message);
  mock.timers.tick(1000);
  one.closed(1000, '', false);
  assert.deepEqual(lines, []);
});

test('a close other than 1000 is told, unless it echoes the client', () => {
  for (const [code, reason, byClient, told] of [
    [1001, 'Your session hit the maximum duration of 60 minutes.', false, /the session reached its maximum duration of 60/],
    [1005, '', false, /closed with an unusual code \(closed 1005\)/],
    [1006, '', false, /without a close frame \(closed 1006 without a close frame\)/],
    [1006, '', true, null],
    [1005, '', true, null],
    [3000, 'invalid_request_error', true, /refused the credentials \(closed 3000 invalid_request_error\)/],
  ]) {
    lines.length = 0;
    fresh().closed(code, reason, byClient);
    if (told) assert.match(lines[0], told);
    else assert.deepEqual(lines, []);
  }
});

test('a refused handshake is told with its status and body', () => {
  const one = fresh();
  one.refused(401, 'no such key sk-abcdefghij');
  one.refused(401, '');
  one.failedToConnect(new Error('late'));
  assert.equal(lines.length, 1);
  assert.match(lines[0], /no valid credentials \(no such key sk-\*\*\*; HTTP 401\)\. Check the API key/);
});

test('a redirection is a failure only for a client that does not follow it', () => {
  const followed = fresh();
  fresh();
  followed.refused(302, '');
  assert.deepEqual(lines, []);
  fresh().refused(302, '');
  assert.match(lines[0], /did not answer the handshake with 101 \(HTTP 302\)/);
});

test('a connection that cannot be opened is told with its cause', () => {
  for (const [error, cause, text] of [
    [Object.assign(new Error('getaddrinfo ENOTFOUND x'), { code: 'ENOTFOUND' }), 'dns', 'Error: getaddrinfo ENOTFOUND x'],
    [Object.assign(new Error('e'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'tls', 'Error: e'],
    [new TypeError('failed', { cause: Object.assign(new Error('t'), { code: 'UND_ERR_CONNECT_TIMEOUT' }) }), 'timeout', 'TypeError: failed'],
    [Object.assign(new AggregateError([new Error('connect ECONNREFUSED ::1')], ''), { code: 'ECONNREFUSED' }), 'refused', 'Error: connect ECONNREFUSED ::1'],
    ['odd', 'other', 'Error: odd'],
  ]) {
    lines.length = 0;
    assert.equal(causeOf(error), cause);
    fresh().failedToConnect(error);
    assert.ok(lines[0].includes(`(${text})`), lines[0]);
  }
});

test('a storm is told once, then counted, a minute later or when the process ends', () => {
  const url = 'wss://storm.example/v1/realtime?intent=transcription';
  for (let i = 0; i < 5; i++) watch(url).closed(1011, '', false);
  assert.equal(lines.length, 1);
  now += 60_000;
  watch(url).closed(1011, '', false);
  assert.match(lines[1], /\] \(and 4 more like it\)$/);
  watch(url).closed(1011, '', false);
  const held = fresh();
  held.message(REFUSAL);
  process.emit('exit', 0);
  assert.equal(lines.length, 4);
  assert.match(lines[2], /the session stays open/);
  assert.match(lines[3], /\] \(and 1 more like it\)$/);
});

test('a thousand different failures are not remembered for ever', () => {
  for (let i = 0; i < 1000; i++) fresh().closed(1011, '', false);
  assert.equal(lines.length, 1000);
});

test('a subscriber gets the fields of a failure, without secrets', () => {
  const got = [];
  const take = (fields) => got.push(fields);
  subscribe('rtstt_shim:failure', take);
  watch('wss://u:p@gw.example/v1/realtime?intent=transcription&api_key=secret').closed(1008, 'Bearer abcdefgh', false);
  unsubscribe('rtstt_shim:failure', take);
  assert.deepEqual(got, [
    {
      library: 'ws',
      version: '',
      url: 'wss://***@gw.example/v1/realtime?intent=transcription&api_key=***',
      diagnosis: 'close-policy',
      fatal: true,
      kind: 'close',
      close_code: 1008,
      close_reason: 'Bearer ***',
      more: 0,
    },
  ]);
});

test('a hook that fails is off from then on, and says so once', () => {
  let calls = 0;
  const hook = guarded('a hook for a test', () => {
    calls += 1;
    throw new Error('sk-abcdefghij');
  });
  hook();
  hook();
  assert.equal(calls, 1);
  assert.deepEqual(lines, [
    'rtstt_shim: a hook for a test failed and is off from now on; the application is not affected: Error: sk-***',
  ]);
});

test('a method is observed without a trace left behind', () => {
  class Socket {
    push(value) {
      return value * this.factor;
    }
    factor = 2;
  }
  const socket = new Socket();
  const seen = [];
  const restore = observe(socket, 'push', (value) => seen.push(value));
  assert.equal(socket.push(21), 42);
  assert.deepEqual(Object.keys(socket), ['factor']);
  restore();
  assert.equal(Object.hasOwn(socket, 'push'), false);

  socket.push = () => 'own';
  const own = socket.push;
  const again = observe(socket, 'push', () => {});
  assert.equal(socket.push(), 'own');
  again();
  assert.equal(socket.push, own);

  const under = observe(socket, 'push', () => seen.push('under'));
  const inner = socket.push;
  socket.push = (value) => inner.call(socket, value);
  const theirs = socket.push;
  under();
  assert.equal(socket.push, theirs);
});

test('the library is told from the stack', () => {
  const builtIn = 'at fetching (node:internal/deps/undici/undici:1:1)';
  assert.deepEqual(libraryOn(builtIn, 'x'), { library: 'undici', version: process.versions.undici ?? '' });
  assert.deepEqual(libraryOn('at initAsClient (/gone/node_modules/ws/lib/websocket.js:1:1)', 'x'), { library: 'ws', version: '' });
  assert.deepEqual(libraryOn('at request (/gone/node_modules/@otel/http/index.js:1:1)', 'node:https'), { library: 'node:https', version: '' });
});

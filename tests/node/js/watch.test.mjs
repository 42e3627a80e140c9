import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import process from 'node:process';
import { beforeEach, mock, test } from 'node:test';

const lines = [];
mock.method(process.stderr, 'write', (text) => lines.push(text.replace(/\n$/, '')));
// The application's own console must not silence the shim.
console.error = () => {};
// The modules keep the timers of the moment when they are loaded.
mock.timers.enable({ apis: ['setTimeout'] });
let now = 0;
mock.method(performance, 'now', () => now);
const { Watch } = await import('../../../shim/rtstt_core/node/watch.cjs');
const { causeOf } = await import('../../../shim/rtstt_core/node/connect_error.cjs');
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
const EVIDENCE = 'invalid_model: Model "whisper-1" is not supported in transcription mode.';
const WHAT = 'OpenAI refuses `model` in the URL of a transcription session';
const DO = 'Remove `model` from the URL and name it in session.audio.input.transcription.model instead.';

let unique = 0;
const watch = (url = URL_, session = 'transcription') => new Watch({ stack: '', fallback: 'ws', url }, session);
/** A watch with a URL of its own, whose line is not counted as that of another test. */
const fresh = (session) => watch(`ws://localhost:${(unique += 1)}/v1/realtime?intent=transcription`, session);
/** Passes a message to a watch as the frames do. */
function receive(one, data) {
  const head = data.toString('latin1').slice(0, 512);
  if (one.wants(head)) one.message(data, head);
}

/** Lets time pass, in ms. */
function pass(ms) {
  now += ms;
  mock.timers.tick(ms);
}

beforeEach(() => {
  pass(1000);
  lines.length = 0;
  now += 3_600_000;
});

test('a refusal is one line, with the error event and the close that followed it', () => {
  const one = watch();
  receive(one, Buffer.from(REFUSAL));
  assert.deepEqual(lines, []);
  one.closed(4000, 'invalid_request_error.invalid_model', false);
  one.lost(false);
  pass(1000);
  assert.deepEqual(lines, [
    `rtstt_shim: realtime transcription session failed: ${WHAT} (${EVIDENCE}; closed 4000 invalid_request_error.invalid_model). ${DO} ${SHOWN}`,
  ]);
});

test('an error event without a close is printed after half a second, as not fatal', () => {
  const one = watch();
  receive(one, REFUSAL);
  pass(499);
  assert.deepEqual(lines, []);
  pass(1);
  assert.deepEqual(lines, [
    `rtstt_shim: realtime transcription error, the session stays open: ${WHAT} (${EVIDENCE}). ${DO} ${SHOWN}`,
  ]);
});

test('the line of an error tells that the client closed', () => {
  const one = watch();
  receive(one, REFUSAL);
  one.closed(1000, '', true);
  assert.deepEqual(lines, [
    `rtstt_shim: realtime transcription error, then the client closed the session: ${WHAT} (${EVIDENCE}). ${DO} ${SHOWN}`,
  ]);
});

test('only the newest of several errors ended the session', () => {
  const one = fresh();
  receive(one, '{"type":"error","error":"busy"}');
  receive(one, '{"type":"error","error":{"code":"rate_limit_exceeded"}}');
  one.lost(false);
  assert.equal(lines.length, 2);
  assert.match(lines[0], /the session stays open: the endpoint sent an error \(busy\)/);
  assert.match(lines[1], /a rate limit was exceeded \(rate_limit_exceeded; closed 1006 without a close frame\)/);
});

test('an error that comes just before the others are printed waits for its own close', () => {
  const one = fresh();
  receive(one, '{"type":"error","error":"busy"}');
  pass(400);
  receive(one, '{"type":"error","error":{"code":"rate_limit_exceeded"}}');
  pass(100);
  assert.equal(lines.length, 1);
  one.closed(4000, 'r', false);
  assert.match(lines[1], /rate_limit_exceeded; closed 4000 r/);
});

test('an error that repeats is one line with a count', () => {
  const url = 'wss://repeated.example/v1/realtime?intent=transcription';
  const one = watch(url);
  for (let i = 0; i < 1000; i++) {
    receive(one, Buffer.from(`{"type":"error","event_id":"event_${i}","error":{"code":"x","event_id":"mine_${i}"}}`));
  }
  one.closed(4000, '', false);
  assert.equal(lines.length, 1);
  process.emit('exit', 0);
  assert.match(lines[1], / \(and 999 more like it\)$/);
});

test('different errors beyond a limit are counted', () => {
  const one = fresh();
  for (let i = 0; i < 1000; i++) receive(one, `{"type":"error","error":{"code":"code${i}"}}`);
  one.closed(1000, '', true);
  assert.equal(lines.length, 32);
  process.emit('exit', 0);
  assert.match(lines.at(-1), / \(and 968 more like it\)$/);
});

test('beyond the limit only errors are counted', () => {
  const one = fresh();
  for (let i = 0; i < 32; i++) receive(one, `{"type":"error","error":{"code":"code${i}"}}`);
  receive(one, '{"type":"response.done","response":{"status_details":{"error":null}}}');
  one.closed(1000, '', true);
  process.emit('exit', 0);
  assert.equal(lines.length, 32);
  assert.ok(lines.every((line) => !line.includes('more like it')));
});

test('an error that is no object keeps the fields beside it', () => {
  const one = fresh();
  receive(one, '{"type":"error","error":"slow down","code":"rate_limit_exceeded"}');
  one.flush();
  assert.match(lines[0], /a rate limit was exceeded \(rate_limit_exceeded: slow down\)/);
});

test('a failed item is printed', () => {
  const one = fresh();
  receive(one, '{"type":"conversation.item.input_audio_transcription.failed","error":{"type":"server_error","message":"429"}}');
  pass(500);
  assert.match(lines[0], /^rtstt_shim: realtime transcription item failed: an item was not .* \(server_error: 429\)\. Retry/);
});

test('messages that are no failure, or no JSON, are ignored', () => {
  const one = fresh();
  for (const message of ['{"type":"session.created","error":null}', '"error"', 'null "error"', '{"error"', 'hello']) {
    receive(one, message);
  }
  pass(1000);
  one.closed(1000, '', false);
  assert.deepEqual(lines, []);
});

test('of a conversation only a refusal and what concerns transcription is printed', () => {
  const update = 'Passing a transcription session update to a realtime session is not allowed.';
  for (const [error, close, expected] of [
    [{ code: 'invalid_parameter', message: update }, [1000, '', true], /this is a conversation session, and it refused/],
    [{ code: 'invalid_value', param: 'session.audio.input.transcription.model' }, [1000, '', true], /transcription\.model/],
    [{ code: 'invalid_value', param: 'session.audio.input.turn_detection.type' }, [1000, '', true], /turn_detection\.type/],
    [{ code: 'invalid_value', param: 'session.audio.output.voice' }, [1000, '', true]],
    [{ code: 'response_cancel_not_active' }, [1006, '', false]],
    [{ type: 'server_error' }, [1011, '', false]],
    [{ code: 'beta_api_shape_disabled' }, [4000, '', false], /realtime conversation session failed: .* the beta API/],
    [null, [4004, '', false], /does not know the model/],
    [null, [1013, '', true], /closed 1013/],
    [null, [3000, '', false], /credentials/],
    [null, [1001, '', false]],
    [null, [1006, '', false]],
    [null, [1011, '', false]],
  ]) {
    lines.length = 0;
    const one = fresh('conversation');
    if (error) receive(one, JSON.stringify({ type: 'error', error }));
    one.closed(...close);
    if (expected) assert.match(lines[0], expected);
    else assert.deepEqual(lines, [], JSON.stringify([error, close]));
  }
  lines.length = 0;
  fresh('conversation').refused(403, '');
  fresh('conversation').failedToConnect(new Error('no'));
  assert.equal(lines.length, 2);
});

test('a session that turns out to be a conversation is watched as one', () => {
  const one = fresh();
  receive(one, '{"type":"session.created","session":{"type":"realtime"}}');
  one.closed(1011, '', false);
  assert.deepEqual(lines, []);
});

test('a session without a transcript is printed with RTSTT_SHIM_LOG=info only', () => {
  for (const level of [undefined, 'info']) {
    if (level) process.env.RTSTT_SHIM_LOG = level;
    const one = fresh();
    receive(one, JSON.stringify({ type: 'session.created', session: { audio: { input: { transcription: null } } } }));
    one.progress.appended(true);
    one.closed(1000, '', true);
    delete process.env.RTSTT_SHIM_LOG;
    if (!level) assert.deepEqual(lines, []);
  }
  assert.equal(lines.length, 1);
  assert.match(
    lines[0],
    /^rtstt_shim: realtime transcription session ended without a transcript: audio was sent, but no transcription model was/,
  );
});

test('a session with a transcript or an error is not', () => {
  process.env.RTSTT_SHIM_LOG = 'info';
  for (const message of ['{"type":"conversation.item.input_audio_transcription.completed"}', undefined]) {
    const one = fresh();
    one.progress.appended(true);
    if (message) receive(one, message);
    else one.delta();
    one.closed(1000, '', true);
  }
  delete process.env.RTSTT_SHIM_LOG;
  assert.deepEqual(lines, []);
});

test('a close other than 1000 is printed, unless it echoes the client', () => {
  for (const [code, reason, byClient, expected] of [
    [1001, 'Your session hit the maximum duration of 60 minutes.', false, /the session reached its maximum duration of 60/],
    [1005, '', false, /the server closed the connection with an unusual code \(closed 1005\)/],
    [1006, '', false, /without a close frame \(closed 1006 without a close frame\)/],
    [1006, '', true, null],
    [1005, '', true, null],
    [3000, 'invalid_request_error', true, /refused the credentials \(closed 3000 invalid_request_error\)/],
  ]) {
    lines.length = 0;
    fresh().closed(code, reason, byClient);
    if (expected) assert.match(lines[0], expected);
    else assert.deepEqual(lines, []);
  }
});

test('a refused handshake is printed with its status and body', () => {
  const one = fresh();
  one.refused(401, 'no such key sk-abcdefghij');
  one.refused(401, '');
  one.failedToConnect(new Error('late'));
  assert.equal(lines.length, 1);
  assert.match(lines[0], /no valid credentials \(no such key sk-\*\*\*; HTTP 401\)\. Check the API key/);
});

test('a redirect is a failure only for a client that does not follow it', () => {
  const followed = fresh();
  fresh();
  followed.refused(302, '');
  assert.deepEqual(lines, []);
  fresh().refused(302, '');
  assert.match(lines[0], /did not answer the handshake with 101 \(HTTP 302\)/);
});

test('a connection that cannot be opened is printed with its cause', () => {
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

test('a connect attempt that the application aborts is printed if it lasted', () => {
  for (const ms of [499, 1500]) {
    const one = fresh();
    pass(ms);
    one.aborted();
    one.failedToConnect(new Error('late'));
  }
  assert.equal(lines.length, 1);
  assert.match(lines[0], /could not be opened in time \(Error: the application aborted the attempt after 1\.5 s\)/);
});

test('a failure that repeats is printed once, then counted, and printed again a minute later or at exit', () => {
  const url = 'wss://repeated2.example/v1/realtime?intent=transcription';
  for (let i = 0; i < 5; i++) watch(url).closed(1011, '', false);
  assert.equal(lines.length, 1);
  now += 60_000;
  watch(url).closed(1011, '', false);
  assert.match(lines[1], /\] \(and 4 more like it\)$/);
  watch(url).closed(1011, '', false);
  const pending = fresh();
  receive(pending, REFUSAL);
  process.emit('exit', 0);
  assert.equal(lines.length, 4);
  assert.match(lines[2], /the session stays open/);
  assert.match(lines[3], /\] \(and 1 more like it\)$/);
});

test('different failures are all printed', () => {
  for (let i = 0; i < 1000; i++) fresh().closed(1011, '', false);
  assert.equal(lines.length, 1000);
});

test('a subscriber receives the fields of a failure, without secrets', () => {
  const got = [];
  const receiveFields = (fields) => got.push(fields);
  subscribe('rtstt_shim:failure', receiveFields);
  watch('wss://u:p@gw.example/v1/realtime?intent=transcription&api_key=secret').closed(1008, 'Bearer abcdefgh', false);
  unsubscribe('rtstt_shim:failure', receiveFields);
  assert.deepEqual(got, [
    {
      library: 'ws',
      version: '',
      url: 'wss://***@gw.example/v1/realtime?intent=transcription&api_key=***',
      session: 'transcription',
      diagnosis: 'close-policy',
      fatal: true,
      kind: 'close',
      close_code: 1008,
      close_reason: 'Bearer ***',
      more: 0,
    },
  ]);
});

test('a hook that throws is printed once and never called again', () => {
  let calls = 0;
  const hook = guarded('testing a hook', () => {
    calls += 1;
    throw new Error('sk-abcdefghij');
  });
  hook();
  hook();
  assert.equal(calls, 1);
  assert.deepEqual(lines, [
    'rtstt_shim: internal error while testing a hook; the application is unaffected: Error: sk-***',
  ]);
});

test('an observed method leaves no trace', () => {
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

test('the library is read from the stack', () => {
  const builtIn = 'at fetching (node:internal/deps/undici/undici:1:1)';
  assert.deepEqual(libraryOn(builtIn, 'x'), { library: 'undici', version: process.versions.undici ?? '' });
  for (const frame of [
    'at initAsClient (/gone/node_modules/ws/lib/websocket.js:1:1)',
    'at async file:///gone%20(x)/node_modules/ws/wrapper.mjs:1:1',
    'at new WebSocket (C:\\Program Files (x86)\\app\\node_modules\\ws\\lib\\websocket.js:1:1)',
    'at file:///C:/app/node_modules/.pnpm/ws@8.18.3/node_modules/ws/wrapper.mjs:1:1',
  ]) {
    assert.deepEqual(libraryOn(`Error\n    ${frame}\n    at main (/app/main.js:1:1)`, 'x'), { library: 'ws', version: '' });
  }
  assert.deepEqual(libraryOn('at request (/gone/node_modules/@otel/http/index.js:1:1)', 'node:https'), { library: 'node:https', version: '' });
});

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { ClientMessages } from '../../../shim/rtstt_core/node/client_messages.cjs';

const DELTA = '{"type":"conversation.item.input_audio_transcription.delta","delta":"\\"error\\""}';
const ERROR = '{"type":"error","error":{}}';

/** The messages of a connection, and what its watch receives. */
function watched() {
  const seen = [];
  const watch = {
    delta: () => seen.push('delta'),
    wants: (head) => head.includes('"error"'),
    message: (data) => seen.push(String(data)),
    unreadable: () => seen.push('unreadable'),
  };
  const messages = new ClientMessages(watch);
  /** @param {number} count */
  const arrive = (count) => Array.from({ length: count }, () => messages.arrived());
  return { seen, messages, arrive };
}

/** A client with ws's events, in two releases of it, and one with those of undici. */
const CLIENTS = {
  'ws 8': () => {
    const client = new EventEmitter();
    return { client, emit: (data) => client.emit('message', Buffer.from(data), typeof data !== 'string'), close: () => client.emit('close', 1000) };
  },
  'ws 7': () => {
    const client = new EventEmitter();
    return { client, emit: (data) => client.emit('message', data), close: () => client.emit('close', 1000) };
  },
  undici: () => {
    const client = new EventTarget();
    const emit = (data) => client.dispatchEvent(Object.assign(new Event('message'), { data }));
    return { client, emit, close: () => client.dispatchEvent(new Event('close')) };
  },
};

for (const [name, make] of Object.entries(CLIENTS)) {
  test(`the end is reported after the messages before it: ${name}`, () => {
    const { seen, messages, arrive } = watched();
    const { client, emit, close } = make();
    arrive(2);
    messages.attach(client);
    arrive(3);
    messages.end(() => seen.push('the end'));
    for (const data of [DELTA, ERROR, new Uint8Array(3), '{"type":"other"}']) emit(data);
    assert.deepEqual(seen, ['delta', ERROR]);
    emit(ERROR);
    assert.deepEqual(seen, ['delta', ERROR, ERROR, 'the end']);
    close();
    assert.equal(seen.length, 4);
  });

  test(`the client's own end is enough if it never reads the rest: ${name}`, () => {
    const { seen, messages, arrive } = watched();
    const { client, emit, close } = make();
    messages.attach(client);
    arrive(2);
    emit(ERROR);
    messages.end(() => seen.push('the end'));
    assert.deepEqual(seen, [ERROR]);
    close();
    assert.deepEqual(seen, [ERROR, 'the end']);
    assert.deepEqual(Object.getOwnPropertyNames(client).filter((one) => /emit|dispatch/.test(one)), []);
  });
}

test('the end of a connection without messages is reported at once, and so is one after the end of the client', () => {
  const { seen, messages, arrive } = watched();
  messages.end(() => seen.push('first'));
  const { client, close } = CLIENTS.undici();
  messages.attach(client);
  arrive(1);
  close();
  messages.end(() => seen.push('second'));
  assert.deepEqual(seen, ['first', 'second']);
});

test('of a client that is not known only the end is reported, with a line that says so', () => {
  const { seen, messages, arrive } = watched();
  messages.attach({});
  messages.attach(undefined);
  arrive(1);
  messages.end(() => seen.push('the end'));
  assert.deepEqual(seen, []);
  messages.finish();
  assert.deepEqual(seen, ['unreadable', 'the end']);
});

test('a message that is too long for an error event is not examined', () => {
  const { seen, messages, arrive } = watched();
  const { client, emit } = CLIENTS['ws 8']();
  messages.attach(client);
  arrive(2);
  emit(`"error"${'x'.repeat(70_000)}`);
  emit(ERROR);
  assert.deepEqual(seen, [ERROR]);
});

test('an application that listens sees no other listener and no other argument', () => {
  const { messages } = watched();
  const client = new EventEmitter();
  const received = [];
  client.on('message', (...args) => received.push(args));
  messages.attach(client);
  assert.equal(client.emit('message', 'text', false), true);
  assert.deepEqual(received, [['text', false]]);
  assert.equal(client.listenerCount('message'), 1);
  assert.deepEqual(Object.keys(client), Object.keys(new EventEmitter()));
});

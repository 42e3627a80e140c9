import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { InflateContext } from '../../../shim/rtstt_core/node/inflate_context.cjs';
import { Inflater } from '../../../shim/rtstt_core/node/inflater.cjs';

const { Z_FINISH, Z_SYNC_FLUSH } = zlib.constants;
const MAX = 1_048_576;

/** Messages, each compressed with reference to those before it, as a server sends them. */
async function deflated(messages) {
  const deflate = zlib.createDeflateRaw();
  const out = [];
  for (const message of messages) {
    const chunks = [];
    const collect = (chunk) => chunks.push(chunk);
    deflate.on('data', collect);
    deflate.write(message);
    await new Promise((done) => deflate.flush(Z_SYNC_FLUSH, done));
    deflate.off('data', collect);
    out.push(Buffer.concat(chunks).subarray(0, -4));
  }
  return out;
}

const alone = (text, flush = Z_SYNC_FLUSH) => {
  const data = zlib.deflateRawSync(text, { finishFlush: flush });
  return flush === Z_SYNC_FLUSH ? data.subarray(0, -4) : data;
};

/** The inflaters of a connection: with a context that is kept, and without. */
const inflaters = (extensions = 'permessage-deflate') => [new Inflater(extensions), new Inflater(extensions, 'server', MAX, null)];

test('both inflate messages of every size, each with reference to those before it', async () => {
  const words = ['transcription', '"delta":', ' ', 'é', 'conversation.item', '0123456789'];
  let seed = 1756;
  const next = (limit) => (seed = (seed * 48_271) % 2_147_483_647) % limit;
  const text = (length) => {
    let made = '';
    while (made.length < length) made += words[next(words.length)];
    return made;
  };
  // 65,536 bytes fill the output exactly.
  const messages = ['', 'a', ...Array.from({ length: 200 }, () => text(next(3000))), 'x'.repeat(65_536), text(200_000), 'y'.repeat(MAX), 'z'];
  const packed = await deflated(messages);
  for (const inflater of inflaters()) {
    assert.deepEqual(packed.map((data) => inflater.inflate(data).toString()), messages);
  }
});

test('both read a server that ends its stream with a message, and one that keeps no context', () => {
  for (const extensions of ['permessage-deflate', 'permessage-deflate; server_no_context_takeover']) {
    for (const inflater of inflaters(extensions)) {
      for (const [message, flush] of [['one one', Z_FINISH], ['two two', Z_FINISH], ['three', Z_SYNC_FLUSH], ['', Z_FINISH], ['four', Z_SYNC_FLUSH]]) {
        assert.equal(inflater.inflate(alone(message, flush)).toString(), message);
      }
    }
  }
});

test('a message that is damaged or too long is an error, and so is every later one', () => {
  for (const data of [Buffer.from([0xff, 0xff, 0xff]), alone(Buffer.alloc(MAX + 1))]) {
    for (const inflater of inflaters()) assert.throws(() => inflater.inflate(data));
    const [kept] = inflaters();
    for (const one of [data, alone('a'), alone('b')]) assert.throws(() => kept.inflate(one));
  }
});

test('a result is not overwritten by the next one', () => {
  const [first, second] = [new Inflater(''), new Inflater('')];
  const one = first.inflate(alone('one'));
  second.inflate(alone('two'));
  assert.equal(one.toString(), 'one');
});

test('one context is created for a connection, whatever the number of its messages', async () => {
  const packed = await deflated(Array.from({ length: 100 }, (_, place) => `message ${place}`));
  let contexts = 0;
  const hook = createHook({ init: (_, type) => (contexts += type === 'ZLIB' ? 1 : 0) }).enable();
  const inflater = new Inflater('permessage-deflate');
  for (const data of packed) inflater.inflate(data);
  hook.disable();
  assert.equal(contexts, 1);
});

test('a handle of another shape is not used', () => {
  assert.ok(InflateContext.open());
  for (const stream of [{}, { _handle: null }, { _handle: { writeSync() {} } }, { _handle: {}, _writeState: [0, 0] }]) {
    assert.equal(InflateContext.open(() => stream), undefined);
  }
});

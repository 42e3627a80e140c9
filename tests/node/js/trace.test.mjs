import assert from 'node:assert/strict';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, mock, test } from 'node:test';
import { deflateRawSync, constants } from 'node:zlib';
import events from '../../../shim/rtstt_core/node/trace_event.cjs';
import files from '../../../shim/rtstt_core/node/trace_file.cjs';
import frames from '../../../shim/rtstt_core/node/trace_frames.cjs';

const { AudioRates, tracedText } = events;
const { TraceFile } = files;
const { TraceFrames } = frames;

const folder = mkdtempSync(join(tmpdir(), 'rtstt-trace-'));
after(() => rmSync(folder, { recursive: true }));

/** A frame, of the server or, masked, of the client. */
function frame(first, payload, masked) {
  const data = Buffer.from(payload);
  let head;
  if (data.length < 126) head = Buffer.from([first, data.length]);
  else if (data.length < 65536) (head = Buffer.from([first, 126, 0, 0])).writeUInt16BE(data.length, 2);
  else (head = Buffer.from([first, 127, 0, 0, 0, 0, 0, 0, 0, 0])).writeBigUInt64BE(BigInt(data.length), 2);
  if (!masked) return Buffer.concat([head, data]);
  head[1] |= 0x80;
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  return Buffer.concat([head, mask, data.map((byte, place) => byte ^ mask[place & 3])]);
}

const deflated = (text) =>
  deflateRawSync(Buffer.from(text), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);

/** What is received of bytes that arrive in pieces of a size. */
function received(data, size, extensions = '', sender = 'server') {
  const found = [];
  const stream = new TraceFrames(
    {
      message: (opcode, payload) => found.push([opcode, payload.toString()]),
      unreadable: (opcode, length) => found.push([opcode, length]),
      control: (opcode) => found.push(opcode),
    },
    extensions,
    sender,
  );
  for (let at = 0; at < data.length; at += size) stream.receive(data.subarray(at, at + size));
  return found;
}

for (const masked of [false, true]) {
  test(`every message is read, however it is cut, ${masked ? 'of a client' : 'of a server'}`, () => {
    const long = 'x'.repeat(70_000);
    const data = Buffer.concat([
      frame(0x81, 'one', masked),
      frame(0x89, '', masked),
      frame(0x01, 'fr', masked),
      frame(0x8a, 'pong', masked),
      frame(0x00, 'agm', masked),
      frame(0x80, 'ents', masked),
      frame(0x82, 'binary', masked),
      frame(0x81, 'y'.repeat(300), masked),
      frame(0x81, long, masked),
      frame(0x81, 'last', masked),
      frame(0x88, '', masked),
    ]);
    const all = [[1, 'one'], 9, 10, [1, 'fragments'], [2, 'binary'], [1, 'y'.repeat(300)], [1, long], [1, 'last']];
    for (const size of [1, 2, 3, 7, 1000, 65_536, data.length]) assert.deepEqual(received(data, size), all);
  });
}

test('a message that is too long is counted, and the next one is read', () => {
  const length = 23_068_673;
  const data = Buffer.concat([frame(0x81, Buffer.alloc(length)), frame(0x81, 'next')]);
  for (const size of [65_536, data.length]) assert.deepEqual(received(data, size), [[1, length], [1, 'next']]);
});

test('compressed messages are inflated, and a damaged one ends that', () => {
  const extensions = 'permessage-deflate; client_no_context_takeover';
  const data = Buffer.concat([
    frame(0xc1, deflated('one'), true),
    frame(0xc1, deflated('two'), true),
    frame(0x81, 'plain', true),
    frame(0xc1, [0xff, 0xff, 0xff], true),
    frame(0xc1, deflated('three'), true),
    frame(0x81, 'plain', true),
  ]);
  const found = received(data, 5, extensions, 'client');
  assert.deepEqual(found, [[1, 'one'], [1, 'two'], [1, 'plain'], [1, 3], [1, deflated('three').length], [1, 'plain']]);
});

test('an event is traced without its audio, whatever it holds', () => {
  const rates = new AudioRates();
  const traced = (event, keep = false) => tracedText(JSON.stringify(event), rates, keep);
  const audio = Buffer.alloc(4801).toString('base64');
  assert.deepEqual(traced({ type: 'x', audio }), { type: 'x', audio_bytes: 4801, audio_ms: 100 });
  assert.deepEqual(traced({ type: 'x', audio }, true), { type: 'x', audio, audio_bytes: 4801, audio_ms: 100 });
  const part = { type: 'x', item: { content: [{ audio }] } };
  assert.deepEqual(traced(part).item.content, [{ audio_bytes: 4801, audio_ms: 100 }]);
  assert.deepEqual(traced({ type: 'response.audio.delta', delta: 'AAAA' }).audio_bytes, 3);
  traced({ type: 'session.updated', session: { audio: { input: { format: { type: 'audio/pcmu' } } } } });
  assert.equal(traced({ type: 'x', audio }).audio_ms, 600.1);
  for (const text of ['', '[]', 'null', '{"type": 7}', '{', '['.repeat(100_000)]) {
    assert.equal(tracedText(text, rates, false).type, '(no event)');
  }
  const long = traced({ type: 'x', text: 'y'.repeat(30_000) }).text;
  assert.equal(long.length, 20_000 + '… [30000 characters]'.length);
});

test('at its limit a file ends with one line and one message', () => {
  const path = join(folder, 'long.jsonl');
  writeFileSync(path, '');
  truncateSync(path, 268_435_456 - 700);
  const errors = mock.method(console.Console.prototype, 'error', () => {});
  const file = new TraceFile(path, false);
  for (let i = 0; i < 100; i++) file.write({ text: 'x'.repeat(100) });
  assert.equal(file.writable, false);
  assert.equal(errors.mock.callCount(), 1);
  errors.mock.restore();
  const end = Buffer.alloc(400);
  const opened = openSync(path);
  readSync(opened, end, 0, end.length, fstatSync(opened).size - end.length);
  closeSync(opened);
  const lines = end.toString().trimEnd().split('\n');
  assert.equal(JSON.parse(lines.at(-1)).full, 268_435_456);
});

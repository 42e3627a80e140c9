import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameReader } from '../../../shim/rtstt_core/node/frames.cjs';
import { ServerStream } from '../../../shim/rtstt_core/node/server_stream.cjs';

const [CONTINUATION, TEXT, BINARY, CLOSE, PING] = [0, 1, 2, 8, 9];

function frame(opcode, payload, { fin = true, rsv1 = false, masked = false } = {}) {
  const data = Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode;
  const mask = masked ? 0x80 : 0;
  let head;
  if (data.length < 126) head = Buffer.from([first, mask | data.length]);
  else if (data.length < 65536) (head = Buffer.from([first, mask | 126, 0, 0])).writeUInt16BE(data.length, 2);
  else (head = Buffer.from([first, mask | 127, 0, 0, 0, 0, 0, 0, 0, 0])).writeBigUInt64BE(BigInt(data.length), 2);
  return Buffer.concat([head, data]);
}

function closing(code, reason = '') {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return frame(CLOSE, Buffer.concat([payload, Buffer.from(reason)]));
}

/** What is received from the bytes, cut into chunks of one size. */
function read(bytes, { compressed, size = bytes.length, head = '', word = '' } = {}) {
  const seen = [];
  const receiver = {
    wants: (head) => head.includes(word),
    delta: () => {},
    compressed: () => seen.push('compressed'),
    arrived: () => seen.push('arrived'),
    message: (data) => seen.push(data.toString()),
    closed: (code, reason) => seen.push([code, reason]),
    refused: (status, body) => seen.push({ status, body }),
  };
  const reader = head ? new ServerStream(receiver) : new FrameReader(receiver, compressed);
  const all = Buffer.concat([Buffer.from(head), bytes]);
  for (let at = 0; at < all.length; at += size || 1) reader.receive(all.subarray(at, at + (size || 1)));
  return head ? { seen, reader } : seen;
}

const everyCut = (bytes) => [1, 2, 3, 5, 7, 64, 1000, 65536, bytes.length];

test('messages are read whole, however the bytes are cut', () => {
  const long = 'é'.repeat(20_000);
  const bytes = Buffer.concat([
    frame(TEXT, 'one'),
    frame(PING, 'ping'),
    frame(TEXT, 'x'.repeat(126)),
    frame(TEXT, long),
    frame(TEXT, ''),
    closing(4000, 'invalid_request_error.invalid_model'),
    frame(TEXT, 'after the end'),
  ]);
  const expected = ['one', 'x'.repeat(126), long, '', [4000, 'invalid_request_error.invalid_model']];
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size }), expected, `in chunks of ${size}`);
});

test('a fragmented message is joined, with a ping in its middle', () => {
  const bytes = Buffer.concat([
    frame(TEXT, '{"type":', { fin: false }),
    frame(PING, ''),
    frame(CONTINUATION, '"err', { fin: false }),
    frame(CONTINUATION, 'or"}'),
    frame(BINARY, 'not text', { fin: false }),
    frame(CONTINUATION, 'either'),
    frame(TEXT, 'next'),
  ]);
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size }), ['{"type":"error"}', 'next']);
});

test('a message that is too long for an error event is skipped, and those after it are read', () => {
  const bytes = Buffer.concat([
    frame(TEXT, 'x'.repeat(70_000)),
    frame(TEXT, 'y'.repeat(40_000), { fin: false }),
    frame(CONTINUATION, 'y'.repeat(40_000)),
    frame(BINARY, Buffer.alloc(100_000)),
    frame(TEXT, 'short'),
    closing(1000),
  ]);
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size }), ['short', [1000, '']]);
});

test('only messages of interest are received', () => {
  const bytes = Buffer.concat([
    frame(TEXT, 'nothing'),
    frame(TEXT, 'one "error"'),
    frame(BINARY, '"error"'),
    frame(TEXT, '"err'),
    frame(TEXT, 'or"'),
    frame(TEXT, '"error" two'),
    frame(TEXT, 'thr"err', { fin: false }),
    frame(CONTINUATION, 'or"ee'),
    frame(TEXT, 'no', { fin: false }),
    frame(CONTINUATION, 'thing'),
    frame(TEXT, 'compressed "error"', { rsv1: true }),
    frame(TEXT, '"error"'),
    closing(1000, '"error"'),
  ]);
  const expected = ['one "error"', '"error" two', 'thr"error"ee', '"error"', [1000, '"error"']];
  for (const size of everyCut(bytes)) {
    assert.deepEqual(read(bytes, { size, word: '"error"' }), expected, `in chunks of ${size}`);
  }
});

test('deltas are skipped, whatever their text, and messages between them are not', () => {
  const delta = '{"type":"conversation.item.input_audio_transcription.delta"';
  const bytes = Buffer.concat([
    frame(TEXT, `${delta},"delta":" \\"error\\""}`),
    frame(TEXT, `${delta},"delta":"${'x'.repeat(200)}"}`),
    frame(TEXT, '{"type":"error","error":{}}'),
    frame(TEXT, delta),
    frame(TEXT, delta.slice(0, -1)),
    frame(TEXT, `${delta.slice(0, -2)}x","error":{}}`),
    frame(PING, 'ping'),
    frame(TEXT, `${delta},"delta":"in`, { fin: false }),
    frame(CONTINUATION, ' pieces"}'),
    frame(TEXT, `${delta},"delta":"${'y'.repeat(70_000)}"}`),
    frame(TEXT, `${delta}}`),
    closing(4000, 'the end'),
  ]);
  const expected = ['{"type":"error","error":{}}', `${delta.slice(0, -2)}x","error":{}}`, [4000, 'the end']];
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size, word: 'rror"' }), expected, `in chunks of ${size}`);
});

test('a CLOSE frame without a code is 1005', () => {
  assert.deepEqual(read(frame(CLOSE, '')), [[1005, '']]);
});

test('a masked frame from a server ends the reading: this is no WebSocket', () => {
  const bytes = Buffer.concat([frame(TEXT, 'abcd', { masked: true }), closing(1000)]);
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size }), [], `in chunks of ${size}`);
});

test('the messages of a compressed connection are counted, and its CLOSE frame is read', () => {
  const delta = '{"type":"conversation.item.input_audio_transcription.delta","delta":"not compressed"}';
  const bytes = Buffer.concat([
    frame(TEXT, 'one', { rsv1: true }),
    frame(TEXT, delta),
    frame(TEXT, 'in', { rsv1: true, fin: false }),
    frame(PING, ''),
    frame(CONTINUATION, ' pieces'),
    frame(BINARY, Buffer.alloc(100_000), { rsv1: true }),
    closing(4000, 'no'),
    frame(TEXT, 'after the end'),
  ]);
  const expected = [...Array(4).fill('arrived'), [4000, 'no']];
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size, compressed: true }), expected, `in chunks of ${size}`);
});

test('frames follow a 101, even in the same chunk', () => {
  const bytes = Buffer.concat([frame(TEXT, 'hello'), closing(3000, 'no')]);
  for (const [extensions, ...expected] of [
    ['', 'hello', [3000, 'no']],
    ['Sec-WebSocket-Extensions: permessage-deflate\r\n', 'compressed', 'arrived', [3000, 'no']],
  ]) {
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n${extensions}\r\n`;
    for (const size of [1, 10, head.length, 4096]) {
      const { seen, reader } = read(bytes, { head, size });
      assert.deepEqual(seen, expected);
      assert.equal(reader.over, true);
    }
  }
});

test('a connection is open until its CLOSE frame', () => {
  const { reader } = read(frame(TEXT, 'x'), { head: 'HTTP/1.1 101 X\r\n\r\n' });
  assert.deepEqual([reader.open, reader.refusing, reader.over], [true, false, false]);
});

test('a refusal is received with its body', () => {
  const body = '{"error":{"code":"OperationNotSupported"}}';
  const chunked = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  for (const [head, sent, expected = body] of [
    [`HTTP/1.1 400 Bad Request\r\nContent-Length: ${body.length}\r\n\r\n`, body],
    ['HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n', chunked],
    ['HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n', '', ''],
    [`HTTP/1.1 400 X\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n`, 'abc', ''],
  ]) {
    for (const size of [1, 17, 4096]) {
      const { seen, reader } = read(Buffer.from(sent), { head, size });
      assert.deepEqual(seen, [{ status: 400, body: expected }], head);
      assert.equal(reader.over, true);
    }
  }
});

test('a body without a length, and a redirect, are received when the connection ends', () => {
  for (const head of ['HTTP/1.0 502 Bad Gateway\r\n\r\n', 'HTTP/1.1 302 Found\r\nContent-Length: 2\r\n\r\n']) {
    const { seen, reader } = read(Buffer.from('no'), { head });
    assert.deepEqual(seen, []);
    assert.equal(reader.refusing, true);
    reader.end();
    reader.end();
    assert.equal(seen.length, 1);
    assert.equal(seen[0].body, 'no');
  }
});

test('anything but an HTTP response is ignored', () => {
  for (const head of ['SSH-2.0-OpenSSH\r\n\r\n', 'x'.repeat(40_000)]) {
    const { seen, reader } = read(closing(1011), { head, size: 1000 });
    reader.end();
    assert.deepEqual(seen, []);
    assert.equal(reader.over, true);
  }
});

test('a long message of interest is received whole, and one of no interest is never kept', () => {
  const [long, audio] = [`"error"${'x'.repeat(60_000)}`, 'y'.repeat(60_000)];
  const bytes = Buffer.concat([frame(TEXT, audio), frame(TEXT, long), frame(TEXT, audio), frame(TEXT, '"error"')]);
  for (const size of everyCut(bytes)) assert.deepEqual(read(bytes, { size, word: '"error"' }), [long, '"error"']);
});

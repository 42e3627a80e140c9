import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClientStream } from '../../../shim/rtstt_core/node/client_stream.cjs';
import { Progress } from '../../../shim/rtstt_core/node/progress.cjs';

const TEXT = 0x81;
const SOUND = Buffer.concat([Buffer.alloc(2400), Buffer.from([0, 1]), Buffer.alloc(2400)]).toString('base64');
const ZEROS = Buffer.alloc(4800).toString('base64');
const append = (audio) => JSON.stringify({ type: 'input_audio_buffer.append', audio });
const COMMIT = '{"type":"input_audio_buffer.commit"}';

/** A client's frame: its header and its payload. */
function frame(payload, first = TEXT) {
  const data = Buffer.from(payload);
  const mask = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  let head;
  if (data.length < 126) head = Buffer.from([first, 0x80 | data.length]);
  else if (data.length < 65536) (head = Buffer.from([first, 0xfe, 0, 0])).writeUInt16BE(data.length, 2);
  else (head = Buffer.from([first, 0xff, 0, 0, 0, 0, 0, 0, 0, 0])).writeBigUInt64BE(BigInt(data.length), 2);
  return [Buffer.concat([head, mask]), data.map((byte, place) => byte ^ mask[place & 3])];
}

/** Why no transcript came, after a client wrote these chunks. */
function silence(chunks, settings) {
  const progress = new Progress();
  const event = JSON.stringify({ type: 'session.updated', session: { type: 'transcription', audio: { input: settings } } });
  if (settings) progress.received(event, event);
  const stream = new ClientStream(progress);
  for (const chunk of chunks) stream.receive(chunk);
  return progress.silence();
}

const VAD = { transcription: { model: 'whisper-1' }, turn_detection: { type: 'server_vad' } };
const MANUAL = { transcription: { model: 'whisper-1' }, turn_detection: null };

/** A client writes the header and the payload together, one by one, or several frames at once. */
const ways = (...frames) => [
  frames.map((one) => Buffer.concat(one)),
  frames.flat(),
  [Buffer.concat(frames.flat())],
];

test('audio that was appended, silence, and a missing commit are recognised', () => {
  for (const [frames, settings, expected] of [
    [[], VAD, undefined],
    [[frame(COMMIT)], VAD, undefined],
    [[frame(append(SOUND))], { transcription: null }, 'not-configured'],
    [[frame(append(SOUND))], VAD, 'no-speech'],
    [[frame(append(ZEROS))], VAD, 'silence'],
    [[frame(append(ZEROS)), frame(append(SOUND))], VAD, 'no-speech'],
    [[frame(append(SOUND))], MANUAL, 'not-committed'],
    [[frame(append(SOUND)), frame(COMMIT)], MANUAL, 'other'],
    [[frame(append('AAAA'.repeat(30_000)))], VAD, 'silence'],
    [[frame(append(SOUND))], undefined, 'other'],
    // Not text, an empty message, and one that is compressed.
    [[frame(append(SOUND), 0x82)], VAD, undefined],
    [[frame(''), frame(append(SOUND))], VAD, 'no-speech'],
    [[frame('x'.repeat(2000), 0xc1)], VAD, 'no-speech'],
    [[frame('x'.repeat(100), 0xc1)], VAD, undefined],
  ]) {
    for (const chunks of ways(...frames)) {
      assert.equal(silence(chunks, settings), expected, JSON.stringify([frames.length, settings, expected]));
    }
  }
});

test('audio in pieces counts as audible', () => {
  const [head, payload] = frame(append(ZEROS));
  assert.equal(silence([head, payload.subarray(0, 1000), payload.subarray(1000)], VAD), 'no-speech');
});

test('a write that is no frame ends the reading', () => {
  assert.equal(silence([Buffer.from('GET / HTTP/1.1'), ...frame(append(SOUND))], VAD), undefined);
});

test('what the server sends decides between a pending transcript and no speech', () => {
  const progress = new Progress();
  for (const event of [
    { type: 'session.created', session: { type: 'transcription', audio: { input: VAD } } },
    { type: 'input_audio_buffer.speech_started' },
  ]) {
    assert.equal(progress.received(JSON.stringify(event), JSON.stringify(event)), false);
  }
  progress.appended(true);
  assert.equal(progress.silence(), 'other');
  progress.received('{"type":"input_audio_buffer.committed"', '');
  assert.equal(progress.silence(), 'pending');
  assert.equal(progress.received('{"type":"conversation.item.input_audio_transcription.completed"', ''), true);
});

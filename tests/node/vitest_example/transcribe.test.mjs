import { startRealtimeMock } from 'rtstt-shim/testing';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { transcribe } from './transcribe.mjs';

const speech = Buffer.alloc(24_000 * 2, Buffer.from([0, 64, 0, 64, 0, 192, 0, 192])); // one loud second
let mock;

beforeAll(async () => {
  mock = await startRealtimeMock();
});
afterAll(() => mock.stop());
afterEach(async () => {
  await mock.verify(); // fails the test if the script was not followed
  await mock.reset();
});

test('the transcript comes back', async () => {
  await mock.load({ transcripts: ['Hello there.'] });
  expect(await transcribe(mock.url, speech, 'sk-test-key')).toBe('Hello there.');
  const sessions = await mock.sessions();
  expect(sessions.at(-1)).toMatchObject({ query: { intent: ['transcription'] }, audio_bytes: speech.length });
});

test('a failed transcription is an error', async () => {
  await mock.load({ faults: [{ action: 'fail', on: 'completed' }] });
  await expect(transcribe(mock.url, speech, 'sk-test-key')).rejects.toThrow('429 Too Many Requests');
});

test('so is a server that goes away', async () => {
  await mock.load({ faults: [{ action: 'close', before: 'delta', code: 1011, reason: 'restarting' }] });
  await expect(transcribe(mock.url, speech, 'sk-test-key')).rejects.toThrow('closed 1011 restarting');
});

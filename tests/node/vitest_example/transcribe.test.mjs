import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { transcribe } from './transcribe.mjs';

const speech = Buffer.alloc(24_000 * 2, Buffer.from([0, 64, 0, 64, 0, 192, 0, 192])); // one loud second
let mock, url, control;

beforeAll(async () => {
  mock = spawn('rtstt-shim', ['mock'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(mock.stdout), 'line'); // listening on ws://127.0.0.1:…/v1/realtime
  url = line.split(' ').at(-1);
  control = url.replace('ws:', 'http:').replace('/v1/realtime', '/_mock');
});
afterAll(() => mock.kill());

const putScript = async (script) => {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`${control}/script`, { method: 'PUT', headers, body: JSON.stringify(script) });
  if (!answer.ok) throw new Error((await answer.json()).error.message);
};
afterEach(async () => {
  const followed = await fetch(`${control}/verify`); // fails the test if the script was not followed
  if (!followed.ok) throw new Error((await followed.json()).error.message);
  await fetch(`${control}/reset`, { method: 'POST' });
});

test('the transcript comes back', async () => {
  await putScript({ transcript: [{ text: 'Hello there.' }] });
  expect(await transcribe(url, speech, 'sk-test-key')).toBe('Hello there.');
  const { sessions } = await (await fetch(`${control}/sessions`)).json();
  expect(sessions.at(-1)).toMatchObject({ query: { intent: ['transcription'] }, audio_bytes: speech.length });
});

test('a failed transcription is an error', async () => {
  await putScript({ fault: [{ action: 'fail', on: 'completed' }] });
  await expect(transcribe(url, speech, 'sk-test-key')).rejects.toThrow('429 Too Many Requests');
});

test('so is a server that goes away', async () => {
  await putScript({ fault: [{ action: 'close', before: 'delta', code: 1011, reason: 'restarting' }] });
  await expect(transcribe(url, speech, 'sk-test-key')).rejects.toThrow('closed 1011 restarting');
});

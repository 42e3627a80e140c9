/**
 * Transcribes a file with a published npm client, as `exam.py` does with those of PyPI.
 *
 *   node exam.mjs CLIENT PROJECT FILE
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { load, PLUGIN, requireOf } from './livekit_session.mjs';

const [client, project, file] = process.argv.slice(2);
const require = requireOf({ project });
const RATE = 24_000;
const CHUNK = RATE / 20;
const MODEL = 'gpt-4o-mini-transcribe';
const ITEM = 15_000; // ms that a transcript may take
const END = 60_000; // ms that all of them may take after the file

const show = (text) => console.log(`final: ${text}`);
const report = (...words) => console.error(...words);

function leave(reason) {
  report(reason);
  process.exit(1);
}

/** The file in real time, 50 ms after 50 ms, and then silence if `forever`. */
async function* microphone(forever) {
  const bytes = readFileSync(file);
  const samples = bytes.subarray(bytes.indexOf('data') + 8);
  const begin = performance.now();
  for (let at = 0, number = 1; forever || at < samples.length; at += 2 * CHUNK, number++) {
    await sleep(Math.max(begin + number * 50 - performance.now(), 0));
    const chunk = new Int16Array(CHUNK);
    Buffer.from(chunk.buffer).set(samples.subarray(at, at + 2 * CHUNK));
    yield chunk;
  }
}

/** An application of the `openai` SDK, as `Sdk` in `exam.py`; with transcription the SDK does not reconnect. */
async function openai() {
  const { OpenAI } = require('openai');
  const { OpenAIRealtimeWS } = require('openai/realtime/ws');
  const order = [];
  const texts = new Map();
  let cleared = false;
  let start;
  const ready = new Promise((resolve) => (start = resolve));
  const realtime = new OpenAIRealtimeWS({ intent: 'transcription' }, new OpenAI({ baseURL: 'https://api.openai.com/v1' }));

  const advance = () => {
    while (order.length && texts.has(order[0])) {
      const text = texts.get(order.shift());
      if (text) show(text);
    }
    if (cleared && !order.length) process.exit(0);
  };
  const settle = (item, text, error) => {
    if (texts.has(item)) return;
    if (error) report(`${item}: ${error}`);
    texts.set(item, text);
    advance();
  };
  let updated = false;
  realtime.on('error', (error) => {
    report(`error: ${error.message}`);
    if (!updated) leave('the session was refused');
  });
  realtime.socket.on('close', (code, reason) => leave(`the connection was closed with ${code} ${reason}`));
  realtime.on('event', (event) => {
    if (event.type === 'session.created') realtime.send(update());
    else if (event.type === 'session.updated') {
      updated = true;
      start();
    } else if (event.type === 'input_audio_buffer.committed') {
      order.push(event.item_id);
      setTimeout(settle, ITEM, event.item_id, '', 'no transcript of it came');
    } else if (event.type === 'input_audio_buffer.cleared') {
      cleared = true;
      advance();
    } else if (event.type.endsWith('input_audio_transcription.completed')) settle(event.item_id, event.transcript);
    else if (event.type.endsWith('input_audio_transcription.failed')) settle(event.item_id, '', event.error.message);
  });
  await Promise.race([ready, sleep(END)]);
  for await (const chunk of microphone(false)) {
    realtime.send({ type: 'input_audio_buffer.append', audio: Buffer.from(chunk.buffer).toString('base64') });
  }
  realtime.send({ type: 'input_audio_buffer.clear' }); // its answer comes after the last commit
  setTimeout(leave, END, 'no transcript came');
}

function update() {
  const input = {
    format: { type: 'audio/pcm', rate: RATE },
    transcription: { model: MODEL, language: 'en' },
    turn_detection: { type: 'server_vad' },
  };
  return { type: 'session.update', session: { type: 'transcription', audio: { input } } };
}

/** The speech-to-text of a LiveKit agent: it hears silence when the file is over, and does not end by itself. */
async function livekit() {
  const { AudioFrame } = require('@livekit/rtc-node');
  const { stt, initializeLogger } = await load(require, '@livekit/agents', {});
  const { STT } = await load(require, PLUGIN, {});
  initializeLogger({ pretty: false, level: 'info' });
  const recognizer = new STT({ model: MODEL });
  recognizer.on('error', ({ error, recoverable }) => report(`error: ${error.message} (recoverable: ${recoverable})`));
  const stream = recognizer.stream();
  const speak = async () => {
    for await (const chunk of microphone(true)) {
      if (stream.closed) return;
      stream.pushFrame(new AudioFrame(chunk, RATE, 1, CHUNK));
    }
  };
  speak().catch((error) => report(`speaking failed: ${error.message}`));
  for await (const event of stream) {
    if (event.type === stt.SpeechEventType.FINAL_TRANSCRIPT) show(event.alternatives[0].text);
  }
  leave('the stream of events ended');
}

delete process.env.OPENAI_BASE_URL; // under the true host name the clients do what they do at OpenAI
await { openai, livekit }[client]();

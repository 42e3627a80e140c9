/** What the LiveKit drivers share: a session of speech-to-text with `@livekit/agents-plugin-openai`. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export const PLUGIN = '@livekit/agents-plugin-openai';
const SAMPLE_RATE = 24_000;
const FRAME_SAMPLES = SAMPLE_RATE / 20;

/** The samples of a WAV file between silences, the last long enough for any VAD to end the turn. */
function* recording(file) {
  const bytes = readFileSync(file);
  const start = bytes.indexOf('data') + 8;
  const length = Math.floor(bytes.readUInt32LE(start - 4) / 2);
  const before = SAMPLE_RATE / 5;
  const all = new Int16Array(before + length + SAMPLE_RATE * 1.5);
  for (let i = 0; i < length; i++) all[before + i] = bytes.readInt16LE(start + 2 * i);
  for (let at = 0; at + FRAME_SAMPLES <= all.length; at += FRAME_SAMPLES) yield all.slice(at, at + FRAME_SAMPLES);
}

/** A speech-like tone that swells and fades, then silence long enough for any VAD to end the turn. */
function* tone() {
  for (let start = 0; start < SAMPLE_RATE * 3; start += FRAME_SAMPLES) {
    const samples = new Int16Array(FRAME_SAMPLES);
    for (let i = 0; i < FRAME_SAMPLES; i++) {
      const t = (start + i) / SAMPLE_RATE;
      if (t >= 0.2 && t < 1.4) samples[i] = 9000 * Math.sin(2 * Math.PI * 180 * t) * (0.6 + 0.4 * Math.sin(2 * Math.PI * 4 * t));
    }
    yield samples;
  }
}

/** The `require` of an npm project. */
export function requireOf({ project }) {
  return createRequire(join(resolve(project), 'package.json'));
}

/** The folder of an installed package, whatever its `exports` hide. */
export function packageFolder(require, name) {
  const entry = require.resolve(name);
  const folder = join('node_modules', ...name.split('/'));
  return entry.slice(0, entry.lastIndexOf(folder) + folder.length);
}

/** The module of an installed package, or another file of its build. */
export function load(require, name, { format, file = 'index' }) {
  if (format === 'cjs') return require(file === 'index' ? name : join(packageFolder(require, name), 'dist', `${file}.cjs`));
  return import(pathToFileURL(join(packageFolder(require, name), 'dist', `${file}.js`)).href);
}

/**
 * Streams audio and returns the events, the transcript and how the stream ended.
 *
 * @param {{ project: string, model: string, seconds: string, format?: string, wav?: string, 'base-url'?: string, 'no-vad'?: boolean }} options those of the driver
 * @returns {Promise<{ events: Record<string, number>, transcript: string | null, ended: string }>}
 */
export async function session(options) {
  const require = requireOf(options);
  const { AudioFrame } = require('@livekit/rtc-node');
  const { stt } = await load(require, '@livekit/agents', options);
  const { STT } = await load(require, PLUGIN, options);
  const seen = { events: {}, transcript: null, ended: 'drained' };
  const settings = {
    model: options.model,
    ...(options['base-url'] && { baseURL: options['base-url'] }),
    ...(options['no-vad'] && { vad: null }),
  };
  const stream = new STT(settings).stream();
  const timeout = setTimeout(() => {
    seen.ended = 'timeout';
    stream.close();
  }, Number(options.seconds) * 1000);

  let over = false;
  const push = async () => {
    for (const samples of options.wav ? recording(options.wav) : tone()) {
      if (stream.closed || over) return;
      stream.pushFrame(new AudioFrame(samples, SAMPLE_RATE, 1, samples.length));
      await new Promise((done) => setTimeout(done, 5));
    }
    if (options['no-vad'] && !stream.closed && !over) stream.flush();
  };
  const pushing = push();
  for await (const event of stream) {
    const name = stt.SpeechEventType[event.type];
    seen.events[name] = (seen.events[name] ?? 0) + 1;
    if (name === 'FINAL_TRANSCRIPT') seen.transcript = event.alternatives[0].text;
    // In this order up to 1.8; END_OF_SPEECH comes first in 1.9, and not at all without a VAD.
    const last = ['FINAL_TRANSCRIPT', 'RECOGNITION_USAGE', ...(options['no-vad'] ? [] : ['END_OF_SPEECH'])];
    if (last.every((one) => seen.events[one])) {
      seen.ended = 'complete';
      break;
    }
  }
  over = true;
  await pushing;
  clearTimeout(timeout);
  stream.close();
  return seen;
}

/**
 * Streams audio through the speech-to-text of `@livekit/agents-plugin-openai`, as an application does, and prints the
 * result: the client of livekit/agents-js#1756.
 *
 *   node scripts/drivers/livekit_js.mjs --project DIR [options]
 *
 *   --project DIR        npm project with @livekit/agents, @livekit/agents-plugin-openai and zod installed
 *   --base-url URL       `baseURL` of the plugin (omitted: the plugin's default, api.openai.com)
 *   --wav FILE           what to stream: 16-bit mono PCM at 24 kHz (omitted: a tone that swells and fades)
 *   --model NAME         transcription model (default gpt-4o-mini-transcribe)
 *   --no-vad             without the plugin's own VAD: the end of the audio is flushed, which commits it
 *   --format esm|cjs     which build of the packages to load (default esm)
 *
 * OPENAI_API_KEY is what the plugin sends (default a made-up key). The session runs in a child process, which inherits
 * the environment and Node's own arguments (so `node --import …` reaches it), and its output is captured.
 *
 * Prints one line of JSON:
 *
 *   {"package": "…", "events": {"START_OF_SPEECH": 1, …}, "transcript": "…", "ended": "drained"|"complete"|"timeout"|"crashed",
 *    "exit": 0, "stdout": "…", "stderr": "…"}
 *
 * The exit code is 0 if the session ran, whatever its result.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const PLUGIN = '@livekit/agents-plugin-openai';
const SAMPLE_RATE = 24_000;
const FRAME_SAMPLES = SAMPLE_RATE / 20;
const TIMEOUT_MS = 40_000;

const { values: options } = parseArgs({
  options: {
    project: { type: 'string' },
    'base-url': { type: 'string' },
    wav: { type: 'string' },
    // The plugin's default in 1.4.4, gpt-realtime-whisper, needs a VAD model; newer versions bring one.
    model: { type: 'string', default: 'gpt-4o-mini-transcribe' },
    'no-vad': { type: 'boolean', default: false },
    format: { type: 'string', default: 'esm' },
    child: { type: 'boolean', default: false },
  },
});

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

/** The folder of an installed package, whatever its `exports` hide. */
function packageFolder(require, name) {
  const entry = require.resolve(name);
  return entry.slice(0, entry.lastIndexOf(join('node_modules', ...name.split('/'))) + join('node_modules', ...name.split('/')).length);
}

function load(require, name) {
  if (options.format === 'cjs') return require(name);
  return import(pathToFileURL(join(packageFolder(require, name), 'dist', 'index.js')).href);
}

async function session(require) {
  const { AudioFrame } = require('@livekit/rtc-node');
  const { initializeLogger, stt } = await load(require, '@livekit/agents');
  const { STT } = await load(require, PLUGIN);
  initializeLogger({ pretty: false, level: 'info' });
  // LiveKit's job process logs these at `debug`; the failure of #1756 ends here.
  process.on('unhandledRejection', () => {});

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
  }, TIMEOUT_MS);

  const push = async () => {
    for (const samples of options.wav ? recording(options.wav) : tone()) {
      if (stream.closed || seen.over) return;
      stream.pushFrame(new AudioFrame(samples, SAMPLE_RATE, 1, samples.length));
      await new Promise((done) => setTimeout(done, 5));
    }
    if (options['no-vad'] && !stream.closed && !seen.over) stream.flush();
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
  seen.over = true;
  await pushing;
  clearTimeout(timeout);
  stream.close();
  delete seen.over;
  return seen;
}

async function child() {
  const seen = await session(createRequire(join(resolve(options.project), 'package.json')));
  writeSync(3, JSON.stringify(seen));
  // Leave time for a failure to be logged after the plugin swallowed it.
  setTimeout(() => process.exit(0), 700);
}

async function parent() {
  const require = createRequire(join(resolve(options.project), 'package.json'));
  const version = JSON.parse(readFileSync(join(packageFolder(require, PLUGIN), 'package.json'), 'utf8')).version;
  const args = [...process.argv.slice(2), '--child'];
  const env = { OPENAI_API_KEY: 'sk-made-up-for-the-driver', ...process.env };
  const self = fileURLToPath(import.meta.url);
  const running = spawn(process.execPath, [...process.execArgv, self, ...args], { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  const caught = ['', '', '', ''];
  for (const fd of [1, 2, 3]) {
    running.stdio[fd].setEncoding('utf8').on('data', (text) => {
      caught[fd] += text;
    });
  }
  const exit = await new Promise((done) => running.on('close', (code, signal) => done(signal ?? code)));
  const seen = caught[3] ? JSON.parse(caught[3]) : { events: {}, transcript: null, ended: 'crashed' };
  console.log(JSON.stringify({ package: `${PLUGIN}@${version}`, ...seen, exit, stdout: caught[1], stderr: caught[2] }));
}

if (!options.project) {
  console.error('livekit_js.mjs: --project DIR is needed: an npm project with the plugin installed');
  process.exit(2);
}
await (options.child ? child() : parent());

// Streams audio through the plugin as an application does and prints one line of JSON:
// `node drive.mjs BASE_URL [esm|cjs] [abort]`. `abort` closes the stream while the client connects.
// The key is OPENAI_API_KEY, or a made-up one.
import { createRequire } from 'node:module';
import process from 'node:process';

const [baseURL, ...options] = process.argv.slice(2);
const load = options.includes('cjs') ? createRequire(import.meta.url) : (name) => import(name);
const { AudioFrame } = await load('@livekit/rtc-node');
const { initializeLogger, stt } = await load('@livekit/agents');
const { STT } = await load('@livekit/agents-plugin-openai');

const RATE = 24000;
const apiKey = process.env.OPENAI_API_KEY || 'sk-made-up';
initializeLogger({ pretty: false, level: 'info' });
process.on('unhandledRejection', () => {}); // as a LiveKit job process does
const model = new STT({ apiKey, baseURL, model: 'gpt-4o-mini-transcribe' });
const errors = [];
model.on('error', ({ error }) => {
  errors.push({ name: error.name, retryable: error.retryable, message: error.message });
});
const stream = model.stream({ connOptions: { maxRetry: 1, retryIntervalMs: 0, timeoutMs: 5000 } });
const seen = { events: {}, transcript: null, errors };
const giveUp = setTimeout(() => stream.close(), options.includes('abort') ? 300 : 15000);
let over = false;

async function speak() {
  for (let frame = 0; frame < 60 && !over; frame++) {
    const samples = new Int16Array(RATE / 20);
    if (frame >= 4 && frame < 28) {
      samples.forEach((_, i) => (samples[i] = 9000 * Math.sin((2 * Math.PI * 180 * (frame * samples.length + i)) / RATE)));
    }
    stream.pushFrame(new AudioFrame(samples, RATE, 1, samples.length));
    await new Promise((done) => setTimeout(done, 5));
  }
}

const speaking = speak().catch(() => {}); // the stream may be closed meanwhile
for await (const event of stream) {
  const name = stt.SpeechEventType[event.type];
  seen.events[name] = (seen.events[name] ?? 0) + 1;
  if (name === 'FINAL_TRANSCRIPT') {
    seen.transcript = event.alternatives[0].text;
    break;
  }
}
over = true;
await speaking;
clearTimeout(giveUp);
stream.close();
// What a failure logs may come with the close of the socket, after the stream has ended.
await new Promise((done) => setTimeout(done, 300));
console.log(`\nRESULT ${JSON.stringify(seen)}`);
process.exit(0);

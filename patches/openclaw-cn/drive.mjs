// Streams a call's audio through the plugin as its media stream does and prints one line of JSON: `node drive.mjs`.
// The base URL in its arguments is not used: the plugin has a fixed one.
import process from 'node:process';

import { OpenAIRealtimeSTTProvider } from './node_modules/openclaw-cn/dist/providers/stt-openai-realtime.js';

const RATE = 8000;

/** Encodes a sample as G.711 mu-law. */
function muLaw(sample) {
  const magnitude = Math.min(Math.abs(sample), 32635) + 132;
  const exponent = Math.floor(Math.log2(magnitude)) - 7;
  const mantissa = (magnitude >> (exponent + 3)) & 15;
  return ~((sample < 0 ? 128 : 0) | (exponent << 4) | mantissa) & 255;
}

const apiKey = process.env.OPENAI_API_KEY || 'sk-made-up';
const session = new OpenAIRealtimeSTTProvider({ apiKey }).createSession();
const seen = { events: {}, transcript: null, errors: [] };
const transcript = session.waitForTranscript(60000).catch(() => null);
await session.connect();
// The session has no event for a refusal: it reconnects after a second, and the transcript never comes.
const lost = new Promise((done) => setInterval(() => session.isConnected() || done(null), 20));
for (let start = 0; start < RATE * 3; start += RATE / 50) {
  const samples = Array.from({ length: RATE / 50 }, (_, i) => {
    const at = start + i;
    return at < 0.2 * RATE || at > 1.4 * RATE ? 0 : Math.round(9000 * Math.sin((2 * Math.PI * 180 * at) / RATE));
  });
  session.sendAudio(Buffer.from(samples.map(muLaw)));
  await new Promise((done) => setTimeout(done, 2));
}
seen.transcript = await Promise.race([transcript, lost]);
session.close();
console.log(`\nRESULT ${JSON.stringify(seen)}`);
process.exit(0);

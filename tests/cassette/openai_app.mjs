// The realtime client of the `openai` package: it commits one second of audio and prints the transcript.
//
//   node openai_app.mjs KEY CHUNK_MS MODEL
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';

const [key, chunk, model] = process.argv.slice(2);
const AUDIO = Buffer.from('004000c0'.repeat(12_000), 'hex');
const realtime = new OpenAIRealtimeWS({ model: 'gpt-4o-mini-transcribe' }, new OpenAI({ apiKey: key }));
const audio = { input: { transcription: { model }, turn_detection: null } };
realtime.on('session.created', () => {
  realtime.send({ type: 'session.update', session: { type: 'transcription', audio } });
  for (let at = 0; at < AUDIO.length; at += 48 * chunk) {
    realtime.send({ type: 'input_audio_buffer.append', audio: AUDIO.subarray(at, at + 48 * chunk).toString('base64') });
  }
  realtime.send({ type: 'input_audio_buffer.commit' });
});
realtime.on('conversation.item.input_audio_transcription.completed', ({ transcript }) => {
  console.log(transcript);
  realtime.close();
});
realtime.on('error', (error) => {
  console.log(error.message);
  realtime.close();
});

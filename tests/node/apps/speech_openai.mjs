// The realtime client of the `openai` package; its own events are printed. It always sends `model`, and never `intent`.
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { pieces } from './recording.mjs';

const realtime = new OpenAIRealtimeWS({ model: 'gpt-4o-mini-transcribe' }, new OpenAI());
const seen = { deltas: '', transcript: null, code: null };
realtime.on('session.created', () => {
  const transcription = { model: 'gpt-4o-mini-transcribe' };
  realtime.send({ type: 'session.update', session: { type: 'transcription', audio: { input: { transcription } } } });
  for (const piece of pieces()) realtime.send({ type: 'input_audio_buffer.append', audio: piece.toString('base64') });
});
realtime.on('conversation.item.input_audio_transcription.delta', ({ delta }) => {
  seen.deltas += delta;
});
realtime.on('conversation.item.input_audio_transcription.completed', ({ transcript }) => {
  seen.transcript = transcript;
  realtime.close();
});
realtime.on('error', (error) => {
  seen.code ??= error.error?.code ?? error.message;
});
realtime.socket.on('close', () => console.log(JSON.stringify(seen)));

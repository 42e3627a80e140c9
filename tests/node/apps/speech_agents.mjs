// A voice session of `@openai/agents`: a conversation, with the user's transcript in its history.
import { RealtimeAgent, RealtimeSession } from '@openai/agents/realtime';
import { pieces } from './recording.mjs';

const session = new RealtimeSession(new RealtimeAgent({ name: 'listener', instructions: '' }), {
  transport: 'websocket',
  model: 'gpt-realtime',
  tracingDisabled: true,
  config: {
    audio: {
      input: {
        transcription: { model: 'gpt-4o-mini-transcribe' },
        turnDetection: { type: 'server_vad', createResponse: false, interruptResponse: false },
      },
    },
  },
});
const seen = { transcript: null, code: null };
const end = () => {
  session.close();
  console.log(JSON.stringify(seen));
};
const patience = setTimeout(end, 50_000);
session.on('error', ({ error }) => {
  seen.code ??= error?.error?.error?.code ?? error?.error?.code ?? String(error?.message ?? error);
});
session.on('history_updated', (history) => {
  const content = history.flatMap((item) => item.content ?? []).find(({ transcript }) => transcript);
  if (!content || seen.transcript) return;
  seen.transcript = content.transcript;
  clearTimeout(patience);
  setImmediate(end); // this event has more listeners, which want the socket open
});
await session.connect({ apiKey: process.env.OPENAI_API_KEY });
for (const piece of pieces()) session.sendAudio(new Uint8Array(piece).buffer);

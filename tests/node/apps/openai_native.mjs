// The realtime client of the `openai` package, over the global WebSocket. It always sends `model`; `intent` comes from
// the application, which is how its users ask for a transcription session.
import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';
import { session } from './session.mjs';

const client = new OpenAI({ baseURL: process.env.APP_BASE_URL });
const realtime = new OpenAIRealtimeWebSocket(
  { model: 'gpt-4o-mini-transcribe', onURL: (url) => url.searchParams.set('intent', 'transcription') },
  client,
);
realtime.on('error', () => {});
await session(realtime.socket);

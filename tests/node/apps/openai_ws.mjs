// The realtime client of the `openai` package, over `ws`. It always sends `model`, and never `intent`.
import OpenAI from 'openai';
import { OpenAIRealtimeWS } from 'openai/realtime/ws';
import { session } from './session.mjs';

const client = new OpenAI({ baseURL: process.env.APP_BASE_URL });
const realtime = new OpenAIRealtimeWS({ model: process.env.APP_MODEL ?? 'gpt-4o-mini-transcribe' }, client);
realtime.on('error', () => {});
await session(realtime.socket);

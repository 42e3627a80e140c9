// Application code in ESM, on `ws`.
import WebSocket from 'ws';
import { headers, session, url } from './session.mjs';

await session(new WebSocket(url, { headers }));

// Application code on the WebSocket of the package `undici`.
import { WebSocket } from 'undici';
import { headers, session, url } from './session.mjs';

await session(new WebSocket(url, { headers }));

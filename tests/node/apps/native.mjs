// Application code on Node's built-in WebSocket.
import { protocols, session, url } from './session.mjs';

await session(new WebSocket(url, protocols));

// Application code on the package `websocket`.
const { w3cwebsocket: WebSocket } = require('websocket');

import('./session.mjs').then(({ headers, session, url }) => session(new WebSocket(url, [], undefined, headers)));

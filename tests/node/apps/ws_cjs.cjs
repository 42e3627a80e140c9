// Application code in CommonJS, on `ws`.
const { WebSocket } = require('ws');

import('./session.mjs').then(({ headers, session, url }) => session(new WebSocket(url, { headers })));

// Application code on the package `faye-websocket`, which writes its request to a socket of its own.
const { Client } = require('faye-websocket');

import('./session.mjs').then(({ headers, session, url }) => session(new Client(url, [], { headers })));

// A WebSocket client of its own on node:https, which asks for compression and reads no frame.
const https = require('node:https');

const request = https.get(process.env.APP_URL.replace(/^ws/, 'http'), {
  headers: {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Extensions': 'permessage-deflate',
    Authorization: `Bearer ${process.env.OPENAI_API_KEY}`,
  },
});
request.on('upgrade', (response, socket) => socket.on('end', () => socket.end()).resume());

// Opens every URL of APP_URLS with ws, and reads until the connection ends; or leaves after the first message.
import WebSocket from 'ws';

const cases = JSON.parse(process.env.APP_URLS);

function talk({ url, leave, timeout }) {
  return new Promise((done) => {
    const socket = new WebSocket(url, { handshakeTimeout: timeout });
    socket.on('message', () => leave && socket.close());
    socket.on('error', () => {});
    socket.on('close', done);
  });
}

for (let at = 0; at < cases.length; at += 16) await Promise.all(cases.slice(at, at + 16).map(talk));

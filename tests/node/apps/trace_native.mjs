// Everything the built-in WebSocket fires, in order, until the connection is over.
import { protocols, url } from './session.mjs';

const seen = [];
const socket = new WebSocket(url, protocols);
for (const name of ['open', 'message', 'error', 'close']) {
  socket.addEventListener(name, ({ data, code, reason, wasClean, message }) => {
    seen.push([name, data?.length > 99 ? data.length : data, code, reason, wasClean, message]);
    if (data === 'please close') socket.close(1000, 'asked');
  });
}
process.on('exit', () => {
  console.log(JSON.stringify({ seen, keys: Object.keys(socket), own: Object.getOwnPropertyNames(WebSocket.prototype) }));
});

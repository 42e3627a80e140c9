// Everything a `ws` client and its request emit, in order, until the connection is over.
import WebSocket from 'ws';
import { headers, url } from './session.mjs';

const seen = [];
const plain = (value) => {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (Buffer.isBuffer(value)) return String(value);
  return typeof value === 'object' ? (value.statusCode ?? value.constructor.name) : value;
};
const socket = new WebSocket(url, { headers, handshakeTimeout: 50_000 });
const { emit } = socket;
socket.emit = function (name, ...args) {
  seen.push([name, ...args.map(plain)]);
  return emit.call(this, name, ...args);
};
socket.on('error', () => {});
socket.on('message', (data) => {
  if (String(data) === 'please close') socket.close(1000, 'asked');
  if (String(data) === 'please terminate') socket.terminate();
});
socket.on('close', () => console.log(JSON.stringify({ seen, keys: Object.keys(socket) })));

// An application that exits just after an error event; APP_END names the way.
import WebSocket from 'ws';
import { headers, url } from './session.mjs';

const socket = new WebSocket(url, { headers });
socket.on('error', () => {});
socket.on('message', () => {
  if (process.env.APP_END === 'exit') process.exit(0);
  if (process.env.APP_END === 'throw') throw new Error('the application fails');
  if (process.env.APP_END === 'terminate') socket.terminate();
});

// An application whose own timer gives up a connection that never opens: APP_MS later, by a clock that may be stopped.
const WebSocket = process.env.APP_NATIVE ? globalThis.WebSocket : (await import('ws')).WebSocket;

if (process.env.APP_CLOCK === 'stopped') performance.now = () => 0;
const socket = new WebSocket(process.env.APP_URL);
socket.addEventListener('error', () => {});
setTimeout(() => (socket.terminate ? socket.terminate() : socket.close()), Number(process.env.APP_MS));

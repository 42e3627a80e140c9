// Opens a connection whose URL has to be corrected, and prints the type of the first event.
const WebSocket = require('ws');

const url = `ws://127.0.0.1:${process.env.APP_PORT}/v1/realtime?intent=transcription&model=whisper-1`;
const socket = new WebSocket(url, { headers: { Authorization: 'Bearer sk-test-key-1234567890' } });
socket.on('message', (data) => {
  console.log(JSON.parse(String(data)).type);
  socket.close();
});

module.exports = socket;

import WebSocket from 'ws';

const url: string = `ws://127.0.0.1:${process.env.APP_PORT}/v1/realtime?intent=transcription&model=whisper-1`;
const socket = new WebSocket(url, { headers: { Authorization: 'Bearer sk-test-key-1234567890' } });
socket.on('message', (data: unknown) => {
  console.log(JSON.parse(String(data)).type);
  socket.close();
});

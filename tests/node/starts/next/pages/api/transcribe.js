// Opens a connection to OpenAI, and answers with the type of the first event and the modules that were preloaded.
import WebSocket from 'ws';

export default function handler(request, response) {
  const url = 'wss://api.openai.com/v1/realtime?intent=transcription&model=whisper-1';
  const socket = new WebSocket(url, { headers: { Authorization: 'Bearer sk-test-key-1234567890' } });
  const answer = (found) => response.json({ ...found, preloaded: globalThis.preloaded ?? [] });
  return new Promise((done) => {
    socket.on('error', ({ message }) => answer({ error: message }));
    socket.on('close', done);
    socket.on('message', (data) => {
      answer({ type: JSON.parse(String(data)).type });
      socket.close();
    });
  });
}

// The client under test: streams PCM and resolves with the first transcript.
import WebSocket from 'ws';

export function transcribe(url, pcm, apiKey) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${url}?intent=transcription`, { headers: { Authorization: `Bearer ${apiKey}` } });
    const send = (event) => socket.send(JSON.stringify(event));
    socket.on('open', () => {
      const input = { transcription: { model: 'gpt-4o-mini-transcribe' }, turn_detection: null };
      send({ type: 'session.update', session: { type: 'transcription', audio: { input } } });
      send({ type: 'input_audio_buffer.append', audio: pcm.toString('base64') });
      send({ type: 'input_audio_buffer.commit' });
    });
    socket.on('message', (data) => {
      const event = JSON.parse(data);
      if (event.type.endsWith('.completed')) {
        socket.close(1000);
        resolve(event.transcript);
      } else if (event.type === 'error' || event.type.endsWith('.failed')) {
        socket.close(1000);
        reject(new Error(event.error.message));
      }
    });
    socket.on('close', (code, reason) => reject(new Error(`closed ${code} ${reason}`)));
    socket.on('error', reject);
  });
}

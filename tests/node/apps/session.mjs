/**
 * What an application does on a realtime transcription socket: configure it, send speech, receive events.
 *
 * `socket` is of any WebSocket class. Prints one line of JSON when the socket is closed.
 */
import { setTimeout as later } from 'node:timers/promises';

const SAMPLE_RATE = 24_000;

function speech() {
  const samples = new Int16Array(SAMPLE_RATE * 2);
  for (let i = 0; i < SAMPLE_RATE; i++) samples[i] = 9000 * Math.sin((2 * Math.PI * 200 * i) / SAMPLE_RATE);
  return Buffer.from(samples.buffer);
}

export async function session(socket, { ask = true } = {}) {
  const seen = { events: [], code: null, transcript: null, error: null, close: null };
  const send = (event) => socket.readyState === 1 && socket.send(JSON.stringify(event));
  await new Promise((done) => {
    let opened = false;
    socket.onopen = async () => {
      opened = true;
      if (!ask) return;
      const transcription = { model: 'gpt-4o-mini-transcribe' };
      send({ type: 'session.update', session: { type: 'transcription', audio: { input: { transcription } } } });
      for (let audio = speech(); audio.length; audio = audio.subarray(4800)) {
        send({ type: 'input_audio_buffer.append', audio: audio.subarray(0, 4800).toString('base64') });
        await later(1);
      }
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(String(data));
      seen.events.push(event.type);
      if (event.type === 'error') {
        seen.code = event.error.code;
        later(500).then(() => socket.close());
      }
      if (event.type === 'conversation.item.input_audio_transcription.completed') {
        seen.transcript = event.transcript;
        socket.close();
      }
    };
    socket.onerror = (event) => {
      seen.error = event.message || event.error?.message || 'error';
      // The WebSocket of Node 22 never fires `close` when the handshake failed.
      if (!opened) later(100).then(done);
    };
    socket.onclose = ({ code, reason }) => {
      seen.close = [code, reason];
      done();
    };
  });
  console.log(JSON.stringify(seen));
}

export const headers = { Authorization: `Bearer ${process.env.OPENAI_API_KEY}` };
export const protocols = ['realtime', `openai-insecure-api-key.${process.env.OPENAI_API_KEY}`];
export const url =
  process.env.APP_URL ?? 'wss://api.openai.com/v1/realtime?intent=transcription&model=gpt-4o-mini-transcribe';

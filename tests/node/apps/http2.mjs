// The built-in WebSocket of Node 26 and a server that speaks HTTP/2 only (RFC 8441): its path, and an error event.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';

const frame = (opcode, payload) => Buffer.concat([Buffer.from([0x80 | opcode, payload.length]), payload]);
const certificate = readFileSync(process.env.APP_CERTIFICATE);
const server = http2.createSecureServer({ key: certificate, cert: certificate, settings: { enableConnectProtocol: true } });
server.on('stream', (stream, headers) => {
  console.log(JSON.stringify({ path: headers[':path'] }));
  const accept = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
  stream.respond({ ':status': 200, 'sec-websocket-accept': accept.digest('base64') });
  stream.on('error', () => {});
  stream.write(frame(1, Buffer.from('{"type":"error","error":{"code":"rate_limit_exceeded"}}')));
});
server.listen(0, '127.0.0.1', () => {
  const socket = new WebSocket(`wss://localhost:${server.address().port}/v1/realtime?intent=transcription&model=a`);
  // Undici 8.10 fires no `close` over HTTP/2.
  socket.onmessage = () => setImmediate(() => process.exit());
});

// A client on `ws` that reads from stdin how many messages to echo, or to receive and parse: `client.mjs PACKAGE.JSON URL`.
import { createRequire } from 'node:module';
import process from 'node:process';
import readline from 'node:readline';

const [project, url] = process.argv.slice(2);
const { WebSocket } = createRequire(project)('ws');
const TEXT = JSON.stringify({ type: 'message', text: 'x'.repeat(160) });
const WINDOW = 16;

const socket = new WebSocket(url, { perMessageDeflate: url.includes('packed') });
let left = 0;
let echoing = false;
let parsed; // used at the end, so that the compiler keeps it
let inWindow = 0;
let done = () => {};

socket.on('message', (data) => {
  if (!echoing) parsed = JSON.parse(data.toString());
  left -= 1;
  if (left === 0) done();
  else if (echoing && --inWindow === 0) sendWindow();
});

function sendWindow() {
  inWindow = WINDOW;
  for (let sent = 0; sent < WINDOW; sent++) socket.send(TEXT);
}

function round(kind, count) {
  left = count;
  echoing = kind === 'echo';
  const finished = new Promise((resolve) => (done = resolve));
  if (echoing) sendWindow();
  else socket.send(String(count));
  return finished;
}

await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [kind, count] = line.split(' ');
  const before = process.cpuUsage();
  await round(kind, Number(count));
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ cpu: (user + system) / 1e6 }));
}
process.exit(parsed?.type === 'none' ? 1 : 0);

#!/usr/bin/env node
/**
 * Reproduces livekit/agents-js#1756 without a client: one socket with `model` in the URL, one without.
 *
 *   node scripts/repro.mjs                        against the mock, which `rtstt-shim mock` serves
 *   node scripts/repro.mjs --refuse on-update     the refusal after session.update, as the issue describes it
 *   node scripts/repro.mjs --url ws://…/v1/realtime    against an endpoint that is running
 *   OPENAI_API_KEY=… node scripts/repro.mjs --live     against the real endpoint
 *
 * Exit code: 0 if the first socket was refused and the second accepted, 1 if not, 2 for a usage error.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const MODEL = 'gpt-4o-mini-transcribe';
const UPDATE = { type: 'session.update', session: { type: 'transcription', audio: { input: { transcription: { model: MODEL } } } } };

class UsageError extends Error {}

/** Returns the WebSocket of Node.js 22 and newer, or that of `ws`. */
async function webSocket() {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  try {
    return (await import('ws')).WebSocket;
  } catch {
    throw new UsageError(`Node ${process.versions.node} has no WebSocket; use Node 22 or newer, or run: npm install ws`);
  }
}

/** Opens one session; resolves to true if its update was accepted. */
function session(WebSocket, url, key) {
  console.log(url);
  return new Promise((done) => {
    const socket = new WebSocket(url, ['realtime', `openai-insecure-api-key.${key}`]);
    socket.onopen = () => socket.send(JSON.stringify(UPDATE));
    socket.onmessage = ({ data }) => {
      const { type, error } = JSON.parse(data);
      console.log('  ←', type, error ? `${error.code}: ${error.message}` : '');
      if (type !== 'session.updated') return;
      console.log('  accepted');
      done(true);
      socket.close();
    };
    socket.onerror = ({ message, error }) => {
      console.log(' ', message || error?.message || 'the connection failed');
      done(false);
    };
    socket.onclose = ({ code, reason }) => {
      if (code >= 3000) console.log('  closed', code, reason);
      done(false);
    };
  });
}

/** Starts the mock; returns its process and its URL. */
async function mock(refuse) {
  const server = spawn('rtstt-shim', ['mock', '--refuse', refuse], { stdio: ['ignore', 'pipe', 'inherit'] });
  const listening = once(createInterface(server.stdout), 'line').then(([line]) => line.replace('listening on ', ''));
  const ended = once(server, 'exit').then(
    () => 'ended before it listened',
    () => "cannot be run; install it with: pip install 'rtstt-shim[testkit]', or give --url",
  );
  const url = await Promise.race([listening, ended]);
  if (!url.startsWith('ws')) throw new UsageError(`\`rtstt-shim mock\` ${url}`);
  return { server, url };
}

async function main() {
  const { values: options } = parseArgs({
    options: { live: { type: 'boolean' }, url: { type: 'string' }, refuse: { type: 'string', default: 'at-connect' } },
  });
  if (options.url && !(URL.canParse(options.url) && /^wss?:/.test(options.url))) {
    throw new UsageError(`--url ${options.url} is not a ws:// or wss:// address`);
  }
  let key = process.env.OPENAI_API_KEY;
  if (options.live && !key) throw new UsageError('--live needs an API key: set OPENAI_API_KEY');
  key ??= 'sk-repro';
  const WebSocket = await webSocket();
  const { server, url } = options.live
    ? { url: 'wss://api.openai.com/v1/realtime' }
    : options.url
      ? { url: options.url }
      : await mock(options.refuse);
  try {
    const refused = !(await session(WebSocket, `${url}?intent=transcription&model=${MODEL}`, key));
    const accepted = await session(WebSocket, `${url}?intent=transcription`, key);
    return refused && accepted ? 0 : 1;
  } finally {
    server?.kill();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError) && !String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
  console.error(`repro.mjs: ${error.message}`);
  process.exitCode = 2;
}

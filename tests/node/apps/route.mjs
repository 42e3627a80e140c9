// Opens connections to a routed name in every way a program may, and prints what came of each.
import { fork } from 'node:child_process';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import net from 'node:net';
import tls, { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import WebSocket from 'ws';

const require = createRequire(import.meta.url);
const here = fileURLToPath(import.meta.url);
const URL = 'wss://API.openai.com./v1/realtime';

const echo = (Socket, url, ...more) =>
  new Promise((resolve, reject) => {
    const socket = new Socket(url, ...more);
    socket.onopen = () => socket.send('hello');
    socket.onmessage = (event) => {
      socket.close();
      resolve(event.data);
    };
    socket.onerror = (event) => reject(event.error ?? new Error(event.message));
  });

const get = (module, url) =>
  new Promise((resolve, reject) => {
    module
      .get(url, (response) => {
        response.setEncoding('utf8');
        let text = '';
        response.on('data', (data) => (text += data));
        response.on('end', () => resolve(text));
      })
      .on('error', reject);
  });

const opened = (open, look) =>
  new Promise((resolve, reject) => {
    const socket = open(() => {
      resolve(look(socket));
      socket.destroy();
    });
    socket.on('error', reject);
  });

const authorized = (socket) => [socket.authorized, socket.getPeerCertificate().subjectaltname];
const at = (socket) => socket.remoteAddress;
const host = 'api.openai.com';

const ways = {
  'ws, ESM': () => echo(WebSocket, URL),
  'ws, CommonJS': () => echo(require('ws'), URL),
  'ws without TLS': () => echo(WebSocket, 'ws://api.openai.com/'),
  'ws with an agent': () => echo(WebSocket, URL, { agent: new https.Agent({ keepAlive: true }) }),
  'ws with a CA of its own': () => echo(WebSocket, URL, { ca: tls.rootCertificates[0] }),
  WebSocket: () => (globalThis.WebSocket ? echo(globalThis.WebSocket, URL) : 'hello'),
  'fetch, https': async () => (await fetch('https://api.openai.com/plain')).text(),
  'fetch, http': async () => (await fetch('http://api.openai.com/plain')).text(),
  https: () => get(https, 'https://api.openai.com/plain'),
  http: () => get(http, 'http://api.openai.com/plain'),
  'tls.connect(port, host)': () => opened((done) => connect(443, host, done), authorized),
  'tls.connect(port, host, options)': () => opened((done) => connect(443, host, { servername: host }, done), authorized),
  'tls.connect(options)': () => opened((done) => tls.connect({ port: 443, host }, done), authorized),
  'tls.connect with a context': () =>
    opened((done) => connect({ port: 443, host, secureContext: tls.createSecureContext() }, done), authorized),
  'net.connect(port, host)': () => opened((done) => net.connect(80, host, done), at),
  'socket.connect(options)': () => opened((done) => new net.Socket().connect({ port: 80, host }, done), at),
  'another host': () => opened((done) => net.connect(Number(process.env.OTHER_PORT), '127.0.0.1', done), at),
  'a local socket': () =>
    new Promise((resolve) => net.connect('/nowhere').on('error', (error) => resolve(error.code))),
};

if (!isMainThread) parentPort.postMessage(await ways['ws, ESM']());
else if (process.argv[2] === 'forked') process.send(await ways['ws, ESM'](), () => process.disconnect());
else {
  const got = {};
  for (const [name, way] of Object.entries(ways)) got[name] = await Promise.resolve().then(way).catch(String);
  got['worker thread'] = await new Promise((resolve) => new Worker(here).on('message', resolve));
  got['forked process'] = await new Promise((resolve) => fork(here, ['forked']).on('message', resolve));
  console.log(JSON.stringify(got));
}

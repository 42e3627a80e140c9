// Application code on the package `undici` and on the built-in WebSocket, one session for each dispatcher.
import http from 'node:http';
import net from 'node:net';
import * as undici from 'undici';
import { headers, session, url } from './session.mjs';

const { Agent, EnvHttpProxyAgent, Pool, ProxyAgent, RetryAgent, interceptors, setGlobalDispatcher } = undici;

const proxy = http.createServer().on('connect', (request, client) => {
  const { hostname, port } = new URL(`http://${request.url}`);
  const server = net.connect({ host: hostname, port: port || 443 }, () => {
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    server.pipe(client).pipe(server);
  });
  for (const one of [server, client]) one.on('error', () => {});
});
await new Promise((done) => proxy.listen(0, '127.0.0.1', done));
const address = `http://127.0.0.1:${proxy.address().port}`;
const lookup = (origin, options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]);

for (const dispatcher of [
  new Agent(),
  new Pool(new URL(url).origin.replace('ws', 'http')),
  new ProxyAgent(address),
  new EnvHttpProxyAgent({ httpsProxy: address, noProxy: '' }),
  new RetryAgent(new Agent()),
  new Agent().compose(interceptors.redirect({ maxRedirections: 1 })),
]) {
  await session(new undici.WebSocket(url, { headers, dispatcher }));
}
const dns = new Agent().compose(interceptors.dns({ lookup }));
await session(new undici.WebSocket(process.env.APP_DNS_URL, { headers, dispatcher: dns }));

// The package and Node.js share the global dispatcher.
setGlobalDispatcher(new ProxyAgent(address));
await session(new undici.WebSocket(url, { headers }));
await session(new WebSocket(url, { headers }));
process.exit();

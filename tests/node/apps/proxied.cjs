// Application code on `ws` that goes through an HTTP proxy of its own.
const http = require('node:http');
const net = require('node:net');
const { HttpsProxyAgent } = require('https-proxy-agent');
const { WebSocket } = require('ws');

const proxy = http.createServer().on('connect', (request, client) => {
  const { hostname, port } = new URL(`http://${request.url}`);
  const server = net.connect({ host: hostname, port: port || 443 }, () => {
    client.write('HTTP/1.1 200 OK\r\n\r\n');
    server.pipe(client).pipe(server);
  });
  for (const one of [server, client]) one.on('error', () => {});
});
proxy.listen(0, '127.0.0.1', async () => {
  const { headers, session, url } = await import('./session.mjs');
  const agent = new HttpsProxyAgent(`http://127.0.0.1:${proxy.address().port}`);
  await session(new WebSocket(url, { headers, agent }));
  proxy.close();
});

// Opens every URL of APP_URLS, sends messages after the first one that it receives, and closes after the last one.
const WebSocket = process.env.APP_NATIVE ? globalThis.WebSocket : (await import('ws')).WebSocket;

for (const { url, sent, received } of JSON.parse(process.env.APP_URLS)) {
  await new Promise((done) => {
    const socket = new WebSocket(url);
    let count = 0;
    socket.addEventListener('message', () => {
      count += 1;
      if (count === 1) for (const message of sent) socket.send(JSON.stringify(message));
      if (count === received) socket.close();
    });
    socket.addEventListener('close', done);
  });
}

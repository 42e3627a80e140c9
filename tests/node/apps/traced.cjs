// Application code on `ws` under the instrumentation of OpenTelemetry, which wraps the same functions.
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');

const spans = [];
const traceExporter = {
  export: (batch, done) => {
    spans.push(...batch.map(({ attributes }) => attributes['http.target'] ?? attributes['url.full']));
    done({ code: 0 });
  },
  shutdown: async () => {},
};
const sdk = new NodeSDK({ instrumentations: [new HttpInstrumentation()], traceExporter, metricReaders: [], logRecordProcessors: [] });
sdk.start();
const { WebSocket } = require('ws');

import('./session.mjs').then(async ({ headers, session, url }) => {
  await session(new WebSocket(url, { headers }));
  await sdk.shutdown();
  if (spans.length !== 1) console.error(`spans: ${JSON.stringify(spans)}`);
});

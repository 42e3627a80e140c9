// Routing for Node programs, the counterpart of rtstt_testkit.routing: with `node --require …/route.cjs`, connections to
// the hosts named in RTSTT_TESTKIT_ROUTES go to the relay, and TLS to them trusts the CA in RTSTT_TESTKIT_CA. SNI,
// certificate check and Host header keep the true name.
//
// Worker threads and forked children inherit the preload.

'use strict';

const { readFileSync } = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const net = require('node:net');
const tls = require('node:tls');

const canonical = (host) => (typeof host === 'string' ? host.toLowerCase().replace(/\.$/, '') : '');

function parseRoutes(text) {
  const routes = new Map();
  for (const pair of text.split(',')) {
    const [, host, address, port] = /^([^=]+)=(.+):(\d+)$/.exec(pair) ?? [];
    if (!host) throw new Error(`${JSON.stringify(pair)} is not host=address:port`);
    routes.set(canonical(host), { host: address, port: Number(port) });
  }
  return routes;
}

function install(routes, ca) {
  // http.Agent, undici, `ws` and tls.connect all open TCP connections here, with options that contain the host name.
  const { connect } = net.Socket.prototype;
  net.Socket.prototype.connect = function (...args) {
    // Node's own callers pass one array of [options, callback], marked with an internal symbol.
    const inside = Array.isArray(args[0]) ? args[0] : args;
    const given = typeof inside[0] === 'object' && inside[0] !== null ? inside[0] : { port: inside[0], host: inside[1] };
    const route = given.path ? undefined : routes.get(canonical(given.host));
    if (!route) return connect.apply(this, args);
    const callback = inside.find((argument) => typeof argument === 'function');
    if (inside === args) return connect.call(this, { ...given, ...route }, callback);
    inside[0] = { ...given, ...route };
    return connect.apply(this, args);
  };

  const connectTls = tls.connect;
  tls.connect = function (...args) {
    const at = args.findIndex((argument) => typeof argument === 'object' && argument !== null);
    const given = args[at] ?? {};
    const host = given.host || (typeof args[1] === 'string' ? args[1] : undefined);
    if (!routes.has(canonical(given.servername || host))) return connectTls.apply(this, args);
    if (given.secureContext) {
      given.secureContext.context.addCACert(ca);
      return connectTls.apply(this, args);
    }
    const options = { ...given, ca: given.ca ? [given.ca, ca].flat() : ca };
    if (at >= 0) return connectTls.apply(this, args.with(at, options));
    const callback = args.find((argument) => typeof argument === 'function');
    return connectTls.call(this, { ...options, port: args[0], host }, callback);
  };

  syncBuiltinESMExports(); // for `import { connect } from 'node:tls'`
}

const { RTSTT_TESTKIT_ROUTES: routes, RTSTT_TESTKIT_CA: ca } = process.env;
if (routes) {
  try {
    install(parseRoutes(routes), readFileSync(ca, 'utf8'));
  } catch (error) {
    process.stderr.write(`rtstt-shim: not routed: ${error.message}\n`);
  }
}

/**
 * The shim for Node.js: `node --import <this file> app.js`, or the same in NODE_OPTIONS.
 *
 * Realtime transcription sockets to OpenAI get a URL that the endpoint accepts, and what goes wrong on them is said on
 * stderr. Everything else in the process is left as it is. `RTSTT_SHIM_DISABLE=1` keeps it inert, and
 * `RTSTT_SHIM_HOSTS=host,host` names hosts to be treated like OpenAI's own.
 */
import process from 'node:process';

const INSTALLED = Symbol.for('rtstt_shim.installed');
const OFF = ['', '0', 'false', 'no'];

async function install() {
  if (!OFF.includes((process.env.RTSTT_SHIM_DISABLE ?? '').toLowerCase())) return;
  // Named twice (in NODE_OPTIONS and on the command line, or by two installations of the shim) it is installed once.
  if (Reflect.get(globalThis, INSTALLED)) return;
  Object.defineProperty(globalThis, INSTALLED, { value: true });
  if (Number(process.versions.node.split('.')[0]) < 20) {
    console.error(`rtstt_shim: needs Node.js 20 or newer and does nothing in ${process.version}`);
    return;
  }
  const [http, undici] = await Promise.all([import('./http_clients.mjs'), import('./undici_clients.mjs')]);
  http.install();
  undici.install();
}

try {
  await install();
} catch (error) {
  console.error(`rtstt_shim: could not be installed, and the application runs without it: ${error}`);
}

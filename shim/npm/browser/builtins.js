// What the modules of node/ take from Node.js, in a browser. scripts/build_npm.py puts this in front of them.

const settings = {
  get RTSTT_SHIM_HOSTS() {
    return globalThis.RTSTT_SHIM_HOSTS;
  },
  get RTSTT_SHIM_LOG() {
    return globalThis.RTSTT_SHIM_LOG;
  },
};

const process = {
  env: settings,
  stderr: undefined,
  // A page has no exit: it is hidden for the last time.
  on: (event, listener) => globalThis.addEventListener?.('pagehide', listener),
};

class Console {
  // A page's console shows what Node.js prints on stderr.
  error(format, line) {
    console.warn(line);
  }
}

const builtins = {
  'node:console': { Console },
  'node:diagnostics_channel': {
    channel: (name) => ({
      hasSubscribers: typeof CustomEvent === 'function',
      publish: (detail) => globalThis.dispatchEvent(new CustomEvent(name, { detail })),
    }),
  },
  'node:timers': {
    // A timer of Node.js is an object that can be made not to keep the process.
    setTimeout: (listener, ms) => ({ id: setTimeout(listener, ms), unref() { return this; } }),
    clearTimeout: (timer) => clearTimeout(timer?.id),
  },
  // A page writes no files.
  './traced_watch.cjs': {},
  // A page shows no file names that tell a library from the application.
  './library.cjs': { callStack: () => '', libraryOn: (stack, fallback) => ({ library: fallback, version: '' }) },
};

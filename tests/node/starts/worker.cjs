// Runs the application in a worker thread that gets none of the options of the command line.
const { Worker } = require('node:worker_threads');

new Worker(require.resolve('./app.cjs'), { execArgv: [] });

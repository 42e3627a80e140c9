// Runs the application in a process of a cluster.
const cluster = require('node:cluster');

if (cluster.isPrimary) cluster.fork();
else require('./exits.cjs');

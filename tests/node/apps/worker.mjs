// An application whose session runs in a worker thread.
import { Worker } from 'node:worker_threads';

new Worker(new URL(process.argv[2], import.meta.url));

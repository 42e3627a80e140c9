// An application whose session runs in a forked process, as LiveKit's job processes are.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

fork(fileURLToPath(new URL(process.argv[2], import.meta.url)));

/**
 * Streams audio through the speech-to-text of `@livekit/agents-plugin-openai`, as an application does, and prints the
 * result: the client of livekit/agents-js#1756.
 *
 *   node scripts/drivers/livekit_js.mjs --project DIR [options]
 *
 *   --project DIR        npm project with @livekit/agents, @livekit/agents-plugin-openai and zod installed
 *   --base-url URL       `baseURL` of the plugin (omitted: the plugin's default, api.openai.com)
 *   --wav FILE           what to stream: 16-bit mono PCM at 24 kHz (omitted: a tone that swells and fades)
 *   --model NAME         transcription model (default gpt-4o-mini-transcribe)
 *   --no-vad             without the plugin's own VAD: the end of the audio is flushed, which commits it
 *   --seconds N          how long to wait for the transcript (default 40)
 *   --format esm|cjs     which build of the packages to load (default esm)
 *   --job                stream from a job process, which LiveKit's own `JobProcExecutor` forks; its room and its token are
 *                        made up, since the agent joins no room
 *
 * OPENAI_API_KEY is what the plugin sends (default a made-up key). The session runs in a child process, which inherits
 * the environment and Node's own arguments (so `node --import …` reaches it), and its output is captured.
 *
 * Prints one line of JSON:
 *
 *   {"package": "…", "events": {"START_OF_SPEECH": 1, …}, "transcript": "…", "ended": "drained"|"complete"|"timeout"|"crashed",
 *    "exit": 0, "stdout": "…", "stderr": "…"}
 *
 * The exit code is 0 if the session ran, whatever its result.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { load, packageFolder, PLUGIN, requireOf, session } from './livekit_session.mjs';

const AGENT = fileURLToPath(new URL('livekit_agent.mjs', import.meta.url));
const CRASHED = { events: {}, transcript: null, ended: 'crashed' };

const { values: options } = parseArgs({
  options: {
    project: { type: 'string' },
    'base-url': { type: 'string' },
    wav: { type: 'string' },
    // The plugin's default in 1.4.4, gpt-realtime-whisper, needs a VAD model; newer versions bring one.
    model: { type: 'string', default: 'gpt-4o-mini-transcribe' },
    'no-vad': { type: 'boolean', default: false },
    seconds: { type: 'string', default: '40' },
    format: { type: 'string', default: 'esm' },
    job: { type: 'boolean', default: false },
    child: { type: 'boolean', default: false },
  },
});

/** Runs the session in a job process, as a LiveKit worker does for each job that a server assigns to it. */
async function sessionInJob() {
  // No entry point of the package exports it.
  const { JobProcExecutor } = await load(requireOf(options), '@livekit/agents', { ...options, file: 'ipc/job_proc_executor' });
  const settings = {
    agent: AGENT,
    inferenceExecutor: undefined,
    initializeTimeout: 60_000,
    closeTimeout: 30_000,
    memoryWarnMB: 0,
    memoryLimitMB: 0,
    pingInterval: 2500,
    pingTimeout: 60_000,
    highPingThreshold: 60_000,
  };
  // In this order: before 1.5 they are separate arguments.
  const executor = JobProcExecutor.length === 1 ? new JobProcExecutor(settings) : new JobProcExecutor(...Object.values(settings));
  process.env.DRIVER_OPTIONS = JSON.stringify(options);
  await executor.start();
  const result = new Promise((done) => {
    executor.proc.on('message', (message) => message.case === 'result' && done(message.value));
    executor.proc.on('exit', () => done(CRASHED));
  });
  await executor.initialize({ sessionEndTimeout: 10_000 });
  await executor.launchJob({
    acceptArguments: { name: 'agent', identity: 'agent', metadata: '' },
    job: { id: 'AJ_made_up', room: { name: 'made-up', sid: 'RM_made_up' }, agentName: 'agent', metadata: '' },
    url: 'ws://127.0.0.1:9',
    token: 'made-up',
    workerId: 'AW_made_up',
  });
  const seen = await result;
  await executor.close();
  return seen;
}

async function child() {
  const { initializeLogger } = await load(requireOf(options), '@livekit/agents', options);
  initializeLogger({ pretty: false, level: 'info' });
  // LiveKit's job process logs these at `debug`; the failure of #1756 ends here.
  process.on('unhandledRejection', () => {});
  const seen = await (options.job ? sessionInJob() : session(options));
  writeSync(3, JSON.stringify(seen));
  // Leave time for a failure to be logged after the plugin swallowed it.
  setTimeout(() => process.exit(0), 700);
}

async function parent() {
  const version = JSON.parse(readFileSync(join(packageFolder(requireOf(options), PLUGIN), 'package.json'), 'utf8')).version;
  const args = [...process.argv.slice(2), '--child'];
  const env = { OPENAI_API_KEY: 'sk-made-up-for-the-driver', ...process.env };
  const self = fileURLToPath(import.meta.url);
  const running = spawn(process.execPath, [...process.execArgv, self, ...args], { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  const caught = ['', '', '', ''];
  for (const fd of [1, 2, 3]) {
    running.stdio[fd].setEncoding('utf8').on('data', (text) => {
      caught[fd] += text;
    });
  }
  const [code, signal] = await once(running, 'close');
  const seen = caught[3] ? JSON.parse(caught[3]) : CRASHED;
  const exit = signal ?? code;
  console.log(JSON.stringify({ package: `${PLUGIN}@${version}`, ...seen, exit, stdout: caught[1], stderr: caught[2] }));
}

if (!options.project) {
  console.error('livekit_js.mjs: --project DIR is needed: an npm project with the plugin installed');
  process.exit(2);
}
await (options.child ? child() : parent());

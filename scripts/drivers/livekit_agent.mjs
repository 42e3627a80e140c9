/**
 * A LiveKit agent that only uses its speech-to-text: what `livekit_js.mjs --job` runs in a job process.
 *
 * It joins no room, and sends the result to the process that forked it.
 */
import { load, requireOf, session } from './livekit_session.mjs';

// A job process has no arguments of its own.
const options = JSON.parse(process.env.DRIVER_OPTIONS);
const { defineAgent } = await load(requireOf(options), '@livekit/agents', options);

export default defineAgent({
  entry: async () => {
    process.send({ case: 'result', value: await session(options) });
  },
});

// An application that uses several copies of `ws` at once.
import { createRequire } from 'node:module';
import { headers, session, url } from './session.mjs';

const require = createRequire(import.meta.url);
for (const copy of ['ws', 'ws-old', 'ws-other']) await session(new (require(copy))(url, { headers }));

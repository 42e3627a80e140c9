import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { addPreload } from '../../../shim/npm/cli/node_options.cjs';

const { cases } = JSON.parse(readFileSync(new URL('../../vectors/node_options.json', import.meta.url), 'utf8'));

test('one --require is left, as in the vectors', () => {
  for (const { options, preload = '/shim/register.cjs', others, before, result, require = [] } of cases) {
    // Only the Python command adds other modules.
    if (others) continue;
    const env = { NODE_OPTIONS: options, ...(before !== undefined && { RTSTT_SHIM_REQUIRE: before }) };
    addPreload(env, preload);
    assert.equal(env.NODE_OPTIONS, result);
    assert.deepEqual(JSON.parse(env.RTSTT_SHIM_REQUIRE ?? '[]'), require, options);
    const again = { ...env };
    addPreload(again, preload);
    assert.deepEqual(again, env);
  }
});

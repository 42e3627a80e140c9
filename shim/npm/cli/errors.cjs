/** The errors of commands: one sentence that names the thing and the fix. */
'use strict';

/** A command was used wrongly, or lacks what it needs; it exits with 2. */
class UsageError extends Error {}

module.exports = { UsageError };

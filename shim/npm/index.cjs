/** `require('rtstt-shim')` as the first line of a program activates the shim in it. */
'use strict';

require('./register.cjs');

module.exports = {
  // A getter: an older Node.js cannot parse the module.
  get fixUrl() {
    return require('./node/url_rule.cjs').fixUrl;
  },
};

/** `require('rtstt-shim')` as the first line of a program activates the shim in it. */
'use strict';

require('./register.cjs');

module.exports = { fixUrl: require('./node/url_rule.cjs').fixUrl };

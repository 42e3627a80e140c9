/** `import 'rtstt-shim'` as the first line of a program activates the shim in it. */
import './register.cjs';

export { fixUrl } from './node/url_rule.cjs';

/** `register.cjs` for `node --import`; see there. */
import './register.cjs';

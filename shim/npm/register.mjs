/** The preload for `node --import rtstt-shim/register`. */
import './register.cjs';

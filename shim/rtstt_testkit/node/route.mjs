// `node --import …/route.mjs`: the same as `node --require …/route.cjs`, for a program without a CommonJS hook.
import './route.cjs';

export { startRealtimeMock } from './index.cjs';

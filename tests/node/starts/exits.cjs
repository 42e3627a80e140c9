// The application, in a process that its parent would keep alive.
require('./app.cjs').on('close', () => process.exit());

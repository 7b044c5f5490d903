// `npm run test:soak`: garbage-under-load.test.ts for SOAK_MINUTES over each backend, 10 by default.
process.env.SOAK_MINUTES ??= '10';
await import('./garbage-under-load.test.ts');

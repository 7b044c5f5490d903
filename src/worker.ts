// One of several processes that serve: what `workers/pool.ts` starts.
import '../bin/quick-start.js';

// Only now, when the cache is there.
const { work } = await import('./workers/work.ts');
await work(process);

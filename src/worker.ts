// One of several server processes, which `workers/pool.ts` starts.
import '../bin/quick-start.js';

// Imported late, to use the compile cache.
const { work } = await import('./workers/work.ts');
await work(process);

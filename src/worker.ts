// One of several processes that serve: what `workers/pool.ts` starts.
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// As in main.ts, and loaded only now for the same reason.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/berth', import.meta.url)));
const { work } = await import('./workers/work.ts');
await work(process);

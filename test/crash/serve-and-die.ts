// Registries that are killed: serve-and-die.ts DATA POINT DATA POINT …, with points as `parsePoint` reads them. Each stops at its
// point; the process kills itself when all have stopped.
import { join } from 'node:path';
import { createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { type Around, watchedDatabase, watchedFiles } from './watched.ts';

const running = new Set<string>();
let armed = false;

/** Opens a registry, which gets no further than its point. */
async function open(data: string, point: string) {
  const { moment, step, nth } = parsePoint(point);
  let seen = 0;
  const around: Around = async (name, call) => {
    const here = armed && name === step && ++seen === nth;
    if (here && moment === 'before') await stop(data);
    const result = await call();
    if (here) await stop(data);
    return result;
  };
  const config = configSchema.parse({ data, listen: '127.0.0.1:0', log: { level: 'silent' } });
  running.add(data);
  const app = await createApp(config, {
    store: await openFilesystemStore(data, watchedFiles(data, around)),
    database: watchedDatabase(await openSqlite(join(data, 'berth.db')), around),
  });
  return app.listen();
}

/** Never resolves, so that the step gets no further before the signal arrives. */
function stop(data: string): Promise<never> {
  running.delete(data);
  if (running.size === 0) process.kill(process.pid, 'SIGKILL');
  return new Promise(() => {});
}

/** `before` or `after`, a step of `watched.ts`, and which of several such steps. */
function parsePoint(point: string): { moment: string; step: string; nth: number } {
  const [, moment, step, nth = '1'] = /^(before|after) (.+?)(?: (\d+))?$/.exec(point)!;
  return { moment: moment!, step: step!, nth: Number(nth) };
}

const urls: string[] = [];
const pairs = process.argv.slice(2);
for (let i = 0; i < pairs.length; i += 2) urls.push((await open(pairs[i]!, pairs[i + 1]!)).url);
armed = true;
process.stdout.write(`listening on ${urls.join(' ')} .\n`);

// A registry that kills itself: serve-and-die.ts DATA before|after STEP NTH, with a step of `watched.ts`.
import { join } from 'node:path';
import { createApp } from '../../src/app.ts';
import { configSchema } from '../../src/config/schema.ts';
import { openSqlite } from '../../src/db/sqlite/sqlite.ts';
import { openFilesystemStore } from '../../src/storage/filesystem.ts';
import { type Around, watchedDatabase, watchedFiles } from './watched.ts';

const [data, moment, step, nth] = process.argv.slice(2) as [string, 'before' | 'after', string, string];

let armed = false;
let seen = 0;

const around: Around = async (name, call) => {
  const here = armed && name === step && ++seen === Number(nth);
  if (here && moment === 'before') await die();
  const result = await call();
  if (here) await die();
  return result;
};

/** Never resolves, so that the step gets no further before the signal arrives. */
function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => {});
}

const config = configSchema.parse({ data, listen: '127.0.0.1:0', log: { level: 'silent' } });
const app = await createApp(config, {
  store: await openFilesystemStore(data, watchedFiles(data, around)),
  database: watchedDatabase(await openSqlite(join(data, 'berth.db')), around),
});
const { url } = await app.listen();
armed = true;
process.stdout.write(`listening on ${url}\n`);

// The units, checked by systemd and compared with Berth's settings.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { run } from '../support/command.ts';
import { needs } from '../support/needs.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const units = ['berth.service', 'berth@.service'] as const;
const unitText = Object.fromEntries(units.map((unit) => [unit, read(`deploy/systemd/${unit}`)]));
const directive = (unit: string, key: string): string | undefined =>
  new RegExp(`^${key}=(.*)$`, 'm').exec(unitText[unit]!)?.[1];
const page = read('docs/how-to/systemd.md');
const defaults = configSchema.parse({});

for (const unit of units) {
  test(`systemd accepts ${unit} and rates its exposure as low`, async (t) => {
    if (!needs(t, 'systemd-analyze')) return;
    // systemd checks that the program exists; here it is in this repository.
    const file = join(await temporaryDirectory(t), unit.replace('@', '@5001'));
    await writeFile(file, unitText[unit]!.replaceAll('/opt/berth', root));
    assert.equal(await run('systemd-analyze', ['verify', '--man=no', file]), '');
    // In tenths: an exposure of 1.5, where an unprotected service has 10.
    await run('systemd-analyze', ['security', '--offline=yes', '--threshold=15', file]);
  });

  test(`${unit} grants the timeout and file limits that the settings need`, () => {
    assert.ok(Number(directive(unit, 'TimeoutStopSec')) * 1000 > defaults.shutdown.drainTimeout + 5000);
    assert.ok(Number(directive(unit, 'LimitNOFILE')) > 2 * defaults.limits.maxConnections);
  });

  test(`the page installs ${unit} and creates what it references`, () => {
    assert.match(page, new RegExp(`deploy/systemd/${unit}`));
    assert.match(directive(unit, 'ExecStart')!, /--config \/etc\/berth\/berth\.yaml/);
    assert.match(page, new RegExp(`useradd --system .* ${directive(unit, 'User')}$`, 'm'));
  });
}

test('the units differ in their commands only, not in their protection', () => {
  const protection = (unit: string) => unitText[unit]!.slice(unitText[unit]!.indexOf('\nUser='));
  assert.equal(protection('berth.service'), protection('berth@.service'));
});

test('the settings of the page are valid, with the secrets of the environment file', async (t) => {
  const [single, replicas] = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text!);
  assert.equal(
    configSchema.parse(parse(single!)).data,
    `/var/lib/${directive('berth.service', 'StateDirectory')}`,
  );

  const secrets = read('deploy/systemd/berth.env');
  const env = Object.fromEntries(
    [...secrets.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]),
  );
  assert.equal(directive('berth@.service', 'EnvironmentFile'), '/etc/berth/berth.env');
  const ports = directive('berth@.service', 'ExecStart')!.replaceAll('%i', '5001');
  const flags = {
    listen: / --listen (\S+)/.exec(ports)![1]!,
    'operations.listen': / --operations-listen (\S+)/.exec(ports)![1]!,
  };
  const settings = join(await temporaryDirectory(t), 'berth.yaml');
  await writeFile(settings, replicas!);
  const { config } = loadConfig({ file: settings, env, flags });
  assert.deepEqual(config.listen, { host: '127.0.0.1', port: 5001 });
  assert.deepEqual(config.operations?.listen, { host: '127.0.0.1', port: 15_001 });
  assert.equal(config.storage.type, 's3');
  assert.ok(config.database.url);
});

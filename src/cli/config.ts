// berth config: checks and prints the configuration without starting anything.
import type { Command } from 'commander';
import { defaultFiles } from '../config/load.ts';
import { jsonSchema, referencePage } from '../config/reference.ts';
import { configSchema } from '../config/schema.ts';
import { showObject, showYaml } from '../config/show.ts';
import { configOf, withConfigFlags } from './config-flags.ts';
import type { Context } from './context.ts';

export function configCommand(config: Command, context: Context): void {
  withConfigFlags(config.command('check'))
    .description('Check the configuration; exit code 2 if it has errors.')
    .action((_options, command: Command) => {
      const { file } = configOf(command, context);
      const read =
        file === undefined ? `no file read: neither ${defaultFiles.join(' nor ')} exists` : `read ${file}`;
      context.out(`the configuration is valid; ${read}\n`);
    });

  withConfigFlags(config.command('show'))
    .description('Print the effective configuration with the source of each value; secrets are hidden.')
    .option('--json', 'Print only the values, as JSON.')
    .action(({ json }: { json?: boolean }, command: Command) => {
      const loaded = configOf(command, context);
      context.out(
        json
          ? `${JSON.stringify(showObject(configSchema, loaded), null, 2)}\n`
          : showYaml(configSchema, loaded),
      );
    });

  config
    .command('reference')
    .description('Print the reference of all settings, in Markdown.')
    .action(() => context.out(referencePage(configSchema)));

  config
    .command('schema')
    .description('Print the JSON schema of the configuration file.')
    .action(() => context.out(jsonSchema(configSchema)));
}

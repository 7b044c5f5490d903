// berth config: looks at the configuration without starting anything.
import type { Command } from 'commander';
import { defaultFiles } from '../config/load.ts';
import { jsonSchema, referencePage } from '../config/reference.ts';
import { configSchema } from '../config/schema.ts';
import { showObject, showYaml } from '../config/show.ts';
import { configOf, withConfigFlags } from './config-flags.ts';
import type { Context } from './context.ts';

export function configCommand(config: Command, context: Context): void {
  withConfigFlags(config.command('check'))
    .description('Say what is wrong with the configuration; exit code 2 if anything is.')
    .action((_options, command: Command) => {
      const { file } = configOf(command, context);
      const read =
        file === undefined
          ? `no file was read, as there is no ${defaultFiles.join(' and no ')}`
          : `read ${file}`;
      context.out(`the configuration is right; ${read}\n`);
    });

  withConfigFlags(config.command('show'))
    .description('Print the configuration in force and where each value comes from; secrets are hidden.')
    .option('--json', 'Print it as JSON, the values alone.')
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

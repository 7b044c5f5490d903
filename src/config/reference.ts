// Documentation generated from the schema.
import { z } from 'zod';
import { type Setting, settingsOf } from './settings.ts';

/** docs/reference/config.md */
export function referencePage(schema: z.ZodType): string {
  const { settings, sections } = settingsOf(schema);
  const lines = [INTRODUCTION];
  const headed = new Set<string>();
  for (const setting of settings) {
    for (const section of sections) {
      if (!setting.key.startsWith(`${section.key}.`) || headed.has(section.key)) continue;
      headed.add(section.key);
      lines.push('', heading(section.key), ...(section.description ? ['', section.description] : []));
    }
    lines.push('', heading(setting.key), '', ...describe(setting));
  }
  return `${lines.join('\n')}\n`;
}

/** docs/reference/config.schema.json, with which editors complete and check `berth.yaml`. */
export function jsonSchema(schema: z.ZodType): string {
  const { settings } = settingsOf(schema);
  const document = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    override({ jsonSchema, path }) {
      // ['properties', 'log', 'properties', 'level'] → log.level
      const setting = settings.find(
        ({ key }) => `properties.${key.replaceAll('.', '.properties.')}` === path.join('.'),
      );
      if (setting) jsonSchema.description = `${setting.description} Allowed: ${setting.allowed}.`;
      for (const own of ['allowed', 'absent', 'flag', 'readOnly']) delete jsonSchema[own];
    },
  });
  return `${JSON.stringify({ ...document, title: 'Berth configuration' }, null, 2)}\n`;
}

function describe(setting: Setting): string[] {
  return [
    setting.description!,
    '',
    `- Allowed: ${setting.allowed}`,
    `- Default: ${setting.absent ?? plainDefault(setting)}`,
    `- Environment: \`${setting.env}\`${setting.envFile ? `, or \`${setting.envFile}\`` : ''}`,
    ...(setting.flag ? [`- Flag: \`${setting.flag}\``] : []),
    ...(setting.writeOnly ? ['- A secret: `berth config show` hides it'] : []),
  ];
}

function plainDefault(setting: Setting): string {
  return setting.default === undefined ? 'none; required if its section is given' : `\`${setting.default}\``;
}

function heading(key: string): string {
  return `${'#'.repeat(1 + key.split('.').length)} ${key}`;
}

const INTRODUCTION = `<!-- Made by \`berth config reference\` from src/config/schema.ts: change the schema, not this page. -->
# Configuration

Berth runs without any configuration. Change settings in one YAML file, in environment variables or with flags; a flag wins
over a variable, a variable over the file, the file over the default.

- The file is the one named by \`--config\`, else by \`BERTH_CONFIG\`, else \`berth.yaml\` in the working directory, else
\`/etc/berth/berth.yaml\`, if they exist. A dot in a key is a level: \`log.level\` is \`level\` below \`log\`.
- Every key has an environment variable: \`BERTH_\` and the key in capitals, with \`_\` between its words.
- A secret may be in a file instead: its variable with \`_FILE\` appended, such as \`BERTH_DATABASE_URL_FILE\`, names
the file, whose text without the last line end is the value. Giving both variables is a mistake.
- A list is a YAML list in the file and comma-separated text in a variable.
- The flags are those of \`berth serve\` and of \`berth config\`.

Berth starts only with a valid configuration: an unknown key, an unknown \`BERTH_…\` variable or a value that is not
allowed ends it with exit code 2 and a line for each mistake. \`berth config check\` checks without starting and says which
file it has read; \`berth config show\` prints all settings and their sources. An editor that knows JSON Schema
completes and checks the file when its first line names [the schema](config.schema.json):

\`\`\`yaml
# yaml-language-server: $schema=path/to/docs/reference/config.schema.json
\`\`\`
`;

// Prints the effective configuration in the form of a configuration file. Secrets are hidden.
import { Document, isCollection, isNode } from 'yaml';
import { z } from 'zod';
import type { Loaded } from './load.ts';
import { nest, settingsOf } from './settings.ts';

const HIDDEN = '(hidden)';

/** YAML, with the source of each value in a comment. */
export function showYaml(schema: z.ZodType, loaded: Loaded<unknown>): string {
  const document = new Document(showObject(schema, loaded));
  for (const { key } of settingsOf(schema).settings) {
    const node = document.getIn(key.split('.'), true);
    if (!isNode(node)) continue;
    if (isCollection(node)) node.flow = true;
    node.comment = ` ${loaded.origins.get(key) ?? 'default'}`;
  }
  return document.toString({ lineWidth: 0 });
}

/** The configuration of `showYaml` as a plain object. */
export function showObject(schema: z.ZodType, { config }: Loaded<unknown>): object {
  const values = settingsOf(schema).settings.map(({ key, schema, writeOnly }): [string, unknown] => {
    const value = valueAt(config, key);
    return [key, value === undefined ? value : writeOnly ? HIDDEN : z.encode(schema, value)];
  });
  return nest(values.filter(([, value]) => value !== undefined));
}

function valueAt(config: unknown, key: string): unknown {
  return key
    .split('.')
    .reduce((section, name) => (section as Record<string, unknown> | undefined)?.[name], config);
}

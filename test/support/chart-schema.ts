// The schema of `config` in the chart's values, derived from that of berth.yaml. To update the chart:
// node test/support/chart-schema.ts && npm run format
import { readFileSync, writeFileSync } from 'node:fs';
import { jsonSchema } from '../../src/config/reference.ts';
import { configSchema } from '../../src/config/schema.ts';

const file = new URL('../../deploy/helm/berth/values.schema.json', import.meta.url);

interface Node {
  readonly [key: string]: unknown;
}

/** deploy/helm/berth/values.schema.json: the current and the expected content. */
export function chartSchema(): { written: Node; wanted: Node } {
  const written = JSON.parse(readFileSync(file, 'utf8'));
  const { type, properties, additionalProperties } = checkable(JSON.parse(jsonSchema(configSchema)));
  const description = 'The tree of berth.yaml; docs/reference/config.md says what each key does.';
  const config = { type, description, properties, additionalProperties };
  return { written, wanted: { ...written, properties: { ...written.properties, config } } };
}

/**
 * The part of the schema that helm can check. Without patterns that Go does not support, without required keys, which may come from
 * `extraEnv`, and without checks of secrets, whose values helm would print.
 */
function checkable({ type, enum: allowed, minimum, maximum, pattern, writeOnly, ...node }: Node): Node {
  const { anyOf, items, properties, additionalProperties } = node;
  if (writeOnly === true) return { type };
  const checked = {
    type,
    enum: allowed,
    minimum,
    maximum,
    pattern: /\(\?[!=<]|\\0/.test(String(pattern)) ? undefined : pattern,
    anyOf: (anyOf as Node[] | undefined)?.map(checkable),
    items: items && checkable(items as Node),
    properties:
      properties &&
      Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, checkable(child)])),
    additionalProperties,
  };
  return Object.fromEntries(Object.entries(checked).filter(([, value]) => value !== undefined));
}

if (import.meta.main) writeFileSync(file, JSON.stringify(chartSchema().wanted, null, 2));

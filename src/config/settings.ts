// A schema as the list of its settings, one for each key that can hold a value. Environment names,
// flags, the reference and the loader all walk this list, so that none can forget a key.
import { z } from 'zod';
import type { SettingMeta } from './values.ts';

export interface Setting extends SettingMeta {
  /** The dotted path: `uploads.expireAfter`. */
  readonly key: string;
  readonly env: string;
  /** The variable that names a file with the value; secrets alone have one. */
  readonly envFile?: string;
  /** Parses and prints this one value. */
  readonly schema: z.ZodType;
  /** As a person would write it. */
  readonly default: unknown;
}

/** A key that holds other keys. */
export interface Section {
  readonly key: string;
  readonly description: string | undefined;
}

export interface Settings {
  readonly settings: readonly Setting[];
  readonly sections: readonly Section[];
}

/** The settings and sections of a schema, in its own order. */
export function settingsOf(schema: z.ZodType): Settings {
  const settings: Setting[] = [];
  const sections: Section[] = [];
  const visit = (schema: z.ZodType, key: string) => {
    const { inner, meta, default: fallback } = unwrap(schema);
    if (!(inner instanceof z.ZodObject)) {
      const env = envName(key);
      const envFile = meta.writeOnly && { envFile: `${env}_FILE` };
      settings.push({ ...meta, key, env, ...envFile, schema: inner, default: fallback });
      return;
    }
    if (key) sections.push({ key, description: meta.description });
    for (const [name, child] of Object.entries(inner.shape)) {
      visit(child as z.ZodType, key ? `${key}.${name}` : name);
    }
  };
  visit(schema, '');
  return { settings, sections };
}

/** `storage.s3.accessKeyId` → `BERTH_STORAGE_S3_ACCESS_KEY_ID`. */
export function envName(key: string): string {
  const words = key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replaceAll('.', '_');
  return `BERTH_${words.toUpperCase()}`;
}

/** Values by dotted key, as the tree that a file would hold. */
export function nest(values: Iterable<readonly [key: string, value: unknown]>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [key, value] of values) {
    const [name, ...sections] = key.split('.').reverse();
    const section = sections.reduceRight((outer, section) => {
      outer[section] ??= {};
      return outer[section] as Record<string, unknown>;
    }, root);
    section[name!] = value;
  }
  return root;
}

function unwrap(schema: z.ZodType) {
  const meta: SettingMeta = {};
  let fallback: unknown;
  let inner = schema;
  for (;;) {
    // What an outer layer says of itself wins over the inner one.
    Object.assign(meta, { ...inner.meta(), ...meta });
    if (inner instanceof z.ZodPrefault) fallback = inner.def.defaultValue;
    if (inner instanceof z.ZodPipe && !(inner instanceof z.ZodCodec)) {
      inner = inner.in as z.ZodType;
    } else if (
      inner instanceof z.ZodPrefault ||
      inner instanceof z.ZodReadonly ||
      inner instanceof z.ZodExactOptional
    ) {
      inner = inner.unwrap() as z.ZodType;
    } else {
      return { inner, meta, default: fallback };
    }
  }
}

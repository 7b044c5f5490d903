// Flattens a schema into a list of settings, one per key with a value. Environment variables, flags, the
// reference and the loader all use this list, so that none can miss a key.
import { z } from 'zod';
import type { SettingMeta } from './values.ts';

export interface Setting extends SettingMeta {
  /** The dotted path: `uploads.expireAfter`. */
  readonly key: string;
  readonly env: string;
  /** The variable that names a file with the value; only secrets have one. */
  readonly envFile?: string;
  /** Decodes and encodes the value. */
  readonly schema: z.ZodType;
  /** The default, as it is written in a file. */
  readonly default: unknown;
}

/** A key with other keys below it. */
export interface Section {
  readonly key: string;
  readonly description: string | undefined;
}

export interface Settings {
  readonly settings: readonly Setting[];
  readonly sections: readonly Section[];
}

/** The settings and sections of a schema, in its order. */
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

/** Turns values by dotted key into the tree of a file. */
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
    // Metadata of an outer layer wins over the inner one's.
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

// Types of setting values. Each is a codec between the written and the internal form, and describes the allowed values.
import { resolve } from 'node:path';
import { z } from 'zod';
import { asNamespace, type Namespace } from '../oci/name.ts';
import { asTagRule, type TagRule } from '../oci/tag-rule.ts';
import { formatAddress, type ListenAddress, parseAddress } from './address.ts';
import { formatNetwork, type Network, parseNetwork } from './network.ts';
import {
  DURATION_PATTERN,
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
  SIZE_PATTERN,
} from './units.ts';
import { DATABASE_URL_PATTERN, isDatabaseUrl, parseWebUrl } from './url.ts';

/** Metadata of a setting; `description` and `writeOnly` have the same names in JSON Schema. */
export interface SettingMeta {
  /** One sentence for the reference. */
  description?: string | undefined;
  /** Completes the sentence 'allowed: …'. */
  allowed?: string;
  /** The flag that sets it, for common settings: `--listen <host:port>`. */
  flag?: string;
  /** Describes the default where it is not a fixed value. */
  absent?: string;
  /** A secret: never printed. */
  writeOnly?: boolean;
}

declare module 'zod' {
  interface GlobalMeta extends SettingMeta {}
}

interface Bounds {
  readonly min: string;
  readonly max: string;
}

/** Bytes. */
export function size({ min, max }: Bounds) {
  return z
    .codec(z.union([z.string().regex(SIZE_PATTERN), z.int().nonnegative()]), z.number(), {
      decode: (value, context) => within(parseSize(String(value)), parseSize(min)!, parseSize(max)!, context),
      encode: formatSize,
    })
    .meta({ allowed: `a size from ${min} to ${max}, such as 16MiB, 512KiB or a plain number of bytes` });
}

/** Milliseconds. */
export function duration({ min, max }: Bounds) {
  return z
    .codec(z.string().regex(DURATION_PATTERN), z.number(), {
      decode: (value, context) =>
        within(parseDuration(value), parseDuration(min)!, parseDuration(max)!, context),
      encode: formatDuration,
    })
    .meta({ allowed: `a duration from ${min} to ${max} with its unit, such as 500ms, 30s or 24h` });
}

export function count({ min, max }: { readonly min: number; readonly max: number }) {
  return z
    .int()
    .min(min)
    .max(max)
    .meta({ allowed: `a whole number from ${min} to ${max}` });
}

export function toggle() {
  return z.boolean().meta({ allowed: 'true or false' });
}

export function choice<const T extends readonly string[]>(values: T) {
  const allowed = `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
  return z.enum(values as unknown as { [K in T[number]]: K }).meta({ allowed });
}

export function address() {
  return z
    .codec(z.string(), z.custom<ListenAddress>(), {
      decode: (value, context) => parseAddress(value) ?? refuse(value, context),
      encode: formatAddress,
    })
    .meta({
      allowed: 'HOST:PORT, such as 127.0.0.1:5000, localhost:5000 or "[::1]:5000"; port 0 is any free port',
    });
}

/** An absolute path; a relative one starts at the working directory. */
export function path() {
  return z
    .codec(z.string().regex(/^[^\0]+$/), z.string(), {
      decode: (value) => resolve(value),
      encode: (value) => value,
    })
    .meta({ allowed: 'a path, absolute or from the working directory' });
}

/** Text that matches `pattern`, which must be anchored. */
export function text(pattern: RegExp, allowed: string) {
  return z.string().regex(pattern).meta({ allowed });
}

const ONE_LINE_ALLOWED = 'text on one line, without leading or trailing spaces';

export function oneLine(allowed = ONE_LINE_ALLOWED) {
  return text(/^\S(.*\S)?$/, allowed);
}

/** The value is never shown, so `allowed` names the most common mistake. */
export function secret() {
  return oneLine(`${ONE_LINE_ALLOWED}; in quotes if YAML would read it as a number`).meta({
    writeOnly: true,
  });
}

/** A list in the file; comma-separated text elsewhere. */
export function list<T extends z.ZodType>(entry: T, allowed: string) {
  return z.array(entry).readonly().meta({ allowed });
}

/** An entry of a list. */
export function network() {
  return z.codec(z.string(), z.custom<Network>(), {
    decode: (value, context) => parseNetwork(value) ?? refuse(value, context),
    encode: formatNetwork,
  });
}

/** An entry of a list: a rule that selects tags. */
export function tagRule() {
  return z.codec(z.string(), z.custom<TagRule>(), {
    decode: (value, context) => asTagRule(value) ?? refuse(value, context),
    encode: (value) => value,
  });
}

/** The name of a user or an organisation, which is also their namespace. */
export function accountName() {
  return z
    .codec(z.string(), z.custom<Namespace>(), {
      decode: (value, context) => asNamespace(value) ?? refuse(value, context),
      encode: (value) => value,
    })
    .meta({ allowed: "an account's name: lowercase letters and digits, with . _ or - between them" });
}

/** A secret, as it contains a password. */
export function databaseUrl() {
  return z
    .string()
    .regex(DATABASE_URL_PATTERN)
    .refine(isDatabaseUrl)
    .meta({
      allowed:
        'postgres://USER:PASSWORD@HOST:PORT/DATABASE or the same with postgresql://; special characters ' +
        'in the password are percent-encoded',
      writeOnly: true,
    });
}

/** Without a trailing slash. */
export function webUrl() {
  return z
    .codec(z.string(), z.string(), {
      decode: (value, context) => parseWebUrl(value) ?? refuse(value, context),
      encode: (value) => value,
    })
    .meta({
      allowed:
        'an http:// or https:// URL of a host and perhaps a path, without credentials, such as https://example.com/path',
    });
}

/** Accepts more names than AWS does, because other services do too. */
export function bucket() {
  return text(
    /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/,
    "a bucket's name: letters, digits, dots, hyphens and underscores, at least 3",
  );
}

const KEY_PREFIX_PATTERN = /^(?:[\w.+=@-]+(?:\/[\w.+=@-]+)*\/?)?$/;

/** Empty, or ends with a slash. */
export function keyPrefix() {
  return z
    .codec(z.string().regex(KEY_PREFIX_PATTERN).max(256), z.string(), {
      decode: (value, context) => {
        const names = value.replace(/\/$/, '').split('/');
        if (names.some((name) => name === '.' || name === '..')) return refuse(value, context);
        return value === '' ? '' : `${names.join('/')}/`;
      },
      encode: (value) => value,
    })
    .meta({
      allowed: 'names of letters, digits and _.+=@-, with one slash between them, such as registry/blobs',
    });
}

type Context = z.core.ParsePayload<unknown>;

function within(value: number | undefined, min: number, max: number, context: Context): number {
  return value !== undefined && value >= min && value <= max ? value : refuse(value, context);
}

function refuse(input: unknown, context: Context): never {
  context.issues.push({ code: 'custom', input, message: 'not allowed' });
  return z.NEVER;
}

// Settings from the environment: `uploads.expireAfter` is BERTH_UPLOADS_EXPIRE_AFTER.
// A secret may be in a file, as is usual in containers: BERTH_DATABASE_URL_FILE=/run/secrets/url.
import { didYouMean } from './mistake.ts';
import type { Setting } from './settings.ts';
import { fromText, type Given, type Source } from './source.ts';
import { readTextFile } from './text-file.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Names the configuration file; the only variable that is not a setting. */
export const FILE_VARIABLE = 'BERTH_CONFIG';

export function readEnvironment(settings: readonly Setting[], env: Environment): Source {
  const known = new Map(settings.map((setting) => [setting.env, setting]));
  const files = new Map(settings.flatMap((setting) => (setting.envFile ? [[setting.envFile, setting]] : [])));
  const given = new Map<string, Given>();
  const mistakes: string[] = [];
  const unread: string[] = [];
  for (const [name, text] of Object.entries(env)) {
    if (text === undefined || name === FILE_VARIABLE || !name.startsWith('BERTH_')) continue;
    const setting = known.get(name);
    const inFile = files.get(name);
    if (setting) {
      given.set(setting.key, { value: fromText(setting, text), where: name });
    } else if (inFile) {
      const read = readTextFile(text);
      if (env[inFile.env] !== undefined) {
        mistakes.push(`${name}: ${inFile.env} is given too; allowed: one of the two`);
      } else if ('text' in read) {
        given.set(inFile.key, { value: fromText(inFile, read.text.replace(/\r?\n$/, '')), where: name });
      } else {
        // The message omits the file name, as users may put the secret itself there by mistake.
        unread.push(inFile.key);
        mistakes.push(`${name}: the file cannot be read: ${read.reason}`);
      }
    } else if (!isServiceLink(name, text)) {
      mistakes.push(
        `${name}: unknown variable${didYouMean(name, [...known.keys(), ...files.keys(), FILE_VARIABLE])}`,
      );
    }
  }
  return { given, mistakes, unread };
}

/**
 * For a Service named `berth`, Kubernetes sets variables with Berth's prefix in every pod:
 * BERTH_SERVICE_HOST, BERTH_SERVICE_PORT_HTTP, BERTH_PORT=tcp://10.0.0.11:5000, BERTH_PORT_5000_TCP_ADDR.
 * They are not settings, but are not reported as mistakes.
 */
function isServiceLink(name: string, text: string): boolean {
  return (
    /_(SERVICE_HOST|SERVICE_PORT|SERVICE_PORT_\w+|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(text))
  );
}

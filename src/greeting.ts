// What whoever starts a registry is told to try first.
import type { FirstAdministrator } from './access/first-administrator.ts';
import { formatAddress, isLoopback } from './config/address.ts';
import type { Config } from './config/schema.ts';

type Place = Pick<Config, 'externalUrl' | 'listen'>;

/** What comes before the repository in an image's name: docker speaks plain HTTP to `localhost` unasked. */
export function registryName({ externalUrl, listen }: Place, url: string): string {
  if (externalUrl !== undefined) return new URL(externalUrl).host;
  const { host, port } = new URL(url);
  const here = isLoopback(listen) || listen.host === '0.0.0.0' || listen.host === '::';
  return here ? `localhost${port ? `:${port}` : ''}` : host;
}

/** The administrator whose password was made up; this is the only time that anybody sees it. */
export function administratorGreeting(
  config: Place & Pick<Config, 'tls' | 'access'>,
  { name, password }: FirstAdministrator,
): string {
  const { listen, tls, access } = config;
  const registry = registryName(config, `${tls ? 'https' : 'http'}://${formatAddress(listen)}`);
  const next = access.passwordLogin
    ? ['log in with it:', `  docker login --username ${name} ${registry}`]
    : [
        'access.passwordLogin is false: log in with a token in its place:',
        `  berth token create --user ${name} | docker login --username ${name} --password-stdin ${registry}`,
      ];
  return [
    'the first administrator has been made; the password is shown this once:',
    `  user name: ${name}`,
    `  password:  ${password}`,
    ...next,
    '',
  ].join('\n');
}

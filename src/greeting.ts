// Messages for the administrator who starts a registry.
import { hostname, networkInterfaces } from 'node:os';
import type { FirstAdministrator } from './administration/first-administrator.ts';
import { formatAddress, isLoopback } from './config/address.ts';
import { certificateName } from './config/certificate-name.ts';
import type { Config } from './config/schema.ts';

type Place = Pick<Config, 'externalUrl' | 'listen' | 'tls'>;

/**
 * The host and port with which image names of this registry begin. On a loopback address the host is `localhost`, for which docker
 * uses plain HTTP by default. If Berth listens on all addresses, it is a name in the certificate or an address of this machine.
 * @param url the URL on which Berth listens
 */
export function registryName({ externalUrl, listen, tls }: Place, url: string): string {
  if (externalUrl !== undefined) return new URL(externalUrl).host;
  const { protocol, host, port } = new URL(url);
  const withPort = (name: string): string => `${name}${port ? `:${port}` : ''}`;
  if (isLoopback(listen)) return withPort('localhost');
  const onAll = listen.host === '0.0.0.0' || listen.host === '::';
  if (!onAll) return host;
  if (protocol === 'https:') return withPort((tls && certificateName(tls.certificate)) ?? hostname());
  return withPort(outsideAddress() ?? 'localhost');
}

/** An IPv4 address at which other machines may reach this one, if there is one. */
function outsideAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

/** Warnings about unencrypted connections and anonymous pushes, with the remedy. */
export function startWarnings(
  config: Place & Pick<Config, 'anonymous' | 'trustedProxies'>,
  url: string,
): string[] {
  const { listen, tls, externalUrl, anonymous, trustedProxies } = config;
  if (isLoopback(listen)) return [];
  const warnings: string[] = [];
  const encrypted = tls !== undefined || externalUrl?.startsWith('https:') || trustedProxies.length > 0;
  if (!encrypted) {
    warnings.push(
      `passwords, tokens and images travel unencrypted to ${url}: give a certificate (tls.certificate, tls.key), or listen on ` +
        'a loopback address behind a proxy with HTTPS and set externalUrl. Until then docker refuses this registry unless ' +
        `${registryName(config, url)} is in its insecure-registries, and podman refuses it without --tls-verify=false`,
    );
  }
  if (anonymous === 'push') {
    warnings.push(
      `everyone who reaches ${url} may push and delete images without logging in: set anonymous to public, pull or none if ` +
        'that is not intended',
    );
  }
  return warnings;
}

/** Shows the generated password of the first administrator. It is shown only this once. */
export function administratorGreeting(
  config: Place & Pick<Config, 'access'>,
  { name, password }: FirstAdministrator,
): string {
  const { listen, tls, access } = config;
  const registry = registryName(config, `${tls ? 'https' : 'http'}://${formatAddress(listen)}`);
  const next = access.passwordLogin
    ? ['log in with it:', `  docker login --username ${name} ${registry}`]
    : [
        'access.passwordLogin is false; log in with a token instead:',
        `  berth token create --user ${name} | docker login --username ${name} --password-stdin ${registry}`,
      ];
  return [
    'created the first administrator; the password is shown only once:',
    `  user name: ${name}`,
    `  password:  ${password}`,
    'if you lose it, set another one from standard input:',
    `  berth user set ${name} --password-stdin`,
    ...next,
    '',
  ].join('\n');
}
